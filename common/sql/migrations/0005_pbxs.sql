-- PBXs are set up from the web UI: two administrators must not overwrite each other unawares.

ALTER TABLE pbx ADD revision integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN pbx.revision IS 'One more with each change of its settings: a form that began with an older one is refused.';
GRANT SELECT (revision) ON pbx TO callstash_web;
