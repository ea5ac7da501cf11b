-- Upgrades from the web UI: what the last check found, and how upgrades ended.

ALTER TABLE upgrade ADD error text;
COMMENT ON COLUMN upgrade.error IS 'Why the last check found nothing out; null: it did.';

CREATE TYPE upgrade_outcome AS ENUM ('done', 'failed', 'broken', 'refused');
CREATE TABLE upgrade_run (
    id             text PRIMARY KEY,
    asked_by       text NOT NULL,
    before_version text,
    after_version  text,
    started_at     timestamptz NOT NULL,
    finished_at    timestamptz NOT NULL,
    outcome        upgrade_outcome NOT NULL,
    text           text NOT NULL
);
CREATE INDEX upgrade_run_finished ON upgrade_run (finished_at);
COMMENT ON TABLE upgrade_run IS 'Upgrades that are over, as callstash-upgrade wrote them down. Owner: the housekeeper.';
COMMENT ON COLUMN upgrade_run.outcome IS 'done; failed: the version before runs again; broken: it does not; refused: nothing was begun.';
GRANT SELECT, INSERT ON upgrade_run TO callstash_housekeeper;
GRANT SELECT ON upgrade_run TO callstash_web, callstash_notifier;
