-- What the first page counts.

CREATE INDEX recording_gone ON recording (listed_at) WHERE state = 'gone';
