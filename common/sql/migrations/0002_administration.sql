-- What the administrators' pages stand on: commands to daemons with answers, the roles of two more
-- daemons, how long recordings are kept, and a notice that survives a redirect.

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['callstash_housekeeper', 'callstash_notifier'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
END $$;

ALTER TABLE sealing_key DROP CONSTRAINT sealing_key_name_check,
    ADD CHECK (name IN ('master', 'pbx', 'mail'));

CREATE TABLE command (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    daemon      text NOT NULL,
    kind        text NOT NULL,
    arguments   jsonb NOT NULL DEFAULT '{}',
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    succeeded   boolean,
    answer      text,
    CHECK ((answered_at IS NULL) = (succeeded IS NULL)),
    CHECK ((answered_at IS NULL) = (answer IS NULL))
);
CREATE INDEX command_open ON command (daemon, asked_at) WHERE answered_at IS NULL;
COMMENT ON TABLE command IS 'What somebody waits for a daemon to do, and its answer in words. The web UI inserts, the daemon answers.';
COMMENT ON COLUMN command.arguments IS 'Secrets among them are sealed to the daemon''s key.';

ALTER TABLE pbx ADD keep_months integer NOT NULL DEFAULT 0 CHECK (keep_months IN (0, 3, 6, 12, 24, 60));
COMMENT ON COLUMN pbx.keep_months IS 'Age at which recordings of its companies are deleted; 0: never.';

ALTER TABLE company
    ADD keep_months integer CHECK (keep_months IN (0, 3, 6, 12, 24, 60)),
    ADD delete_requested_at timestamptz,
    ADD delete_requested_by text,
    ADD CHECK ((state = 'delete_pending') = (delete_requested_at IS NOT NULL)),
    ADD CHECK ((delete_requested_at IS NULL) = (delete_requested_by IS NULL));
COMMENT ON COLUMN company.keep_months IS 'Age at which its recordings are deleted; 0: never, null: as its PBX says. Owner: the web UI.';
COMMENT ON COLUMN company.delete_requested_at IS 'When an administrator asked to delete it with all its recordings. Owner: the web UI.';

ALTER TABLE session ADD notice text;
COMMENT ON COLUMN session.notice IS 'What the next page says once, such as that something was saved.';

-- Grants ------------------------------------------------------------------------------------------

GRANT SELECT, INSERT, UPDATE ON outbox, daemon_status TO callstash_housekeeper, callstash_notifier;
GRANT SELECT, INSERT ON inbox TO callstash_housekeeper, callstash_notifier;
GRANT INSERT ON audit TO callstash_housekeeper, callstash_notifier;
GRANT SELECT ON sealing_key, schema_migration TO callstash_housekeeper, callstash_notifier;

GRANT SELECT, INSERT ON command TO callstash_web;
GRANT SELECT, UPDATE (answered_at, succeeded, answer) ON command
    TO callstash_poller, callstash_housekeeper, callstash_notifier;

GRANT SELECT (keep_months) ON pbx TO callstash_web;
GRANT UPDATE (state, keep_months, delete_requested_at, delete_requested_by) ON company TO callstash_web;
