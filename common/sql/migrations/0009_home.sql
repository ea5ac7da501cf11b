-- What the first page counts, and all recordings in the order in which holds list them.

CREATE INDEX recording_gone ON recording (listed_at) WHERE state = 'gone';
CREATE INDEX recording_started ON recording (started_at DESC, id DESC);
