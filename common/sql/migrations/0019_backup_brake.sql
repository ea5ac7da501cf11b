-- A backup stops where the archive lost more than it should; and how fast and when a new target is filled.

ALTER TABLE backup_progress ADD snapshot text, ADD taken_at timestamptz;
COMMENT ON COLUMN backup_progress.snapshot IS 'What the newest complete catalogue saw, as pg_current_snapshot() says it; taken_at is when.';

CREATE TABLE backup_brake (
    single       boolean PRIMARY KEY DEFAULT true CHECK (single),
    found_at     timestamptz NOT NULL,
    recordings   bigint NOT NULL,
    lost_rows    bigint NOT NULL,
    lost_files   bigint NOT NULL,
    confirmed_at timestamptz,
    confirmed_by text,
    CHECK ((confirmed_at IS NULL) = (confirmed_by IS NULL))
);
COMMENT ON TABLE backup_brake IS 'What the archive lost, not by policy, when that stopped backups; they go on once it is confirmed. Owner: backupd; the web UI confirms.';
COMMENT ON COLUMN backup_brake.recordings IS 'How many there were in the last complete catalogue.';
COMMENT ON COLUMN backup_brake.lost_rows IS 'Recordings that the database no longer has; lost_files are those whose file is missing.';

ALTER TABLE backup_target
    ADD rate_kb integer CHECK (rate_kb > 0),
    ADD quiet_from time,
    ADD quiet_until time,
    ADD CHECK ((quiet_from IS NULL) = (quiet_until IS NULL) AND quiet_from <> quiet_until);
COMMENT ON COLUMN backup_target.rate_kb IS 'Kilobytes (1000 bytes) a second that recordings are copied with at most; null: as fast as it goes.';
COMMENT ON COLUMN backup_target.quiet_from IS 'From this time of day until quiet_until, a target that has no complete catalogue is not filled; null: it is at any time.';

GRANT INSERT, UPDATE, DELETE ON backup_brake TO callstash_backupd;
GRANT SELECT, UPDATE (confirmed_at, confirmed_by) ON backup_brake TO callstash_web;
GRANT SELECT ON backup_brake TO callstash_notifier;
GRANT SELECT (rate_kb, quiet_from, quiet_until) ON backup_target TO callstash_web;
