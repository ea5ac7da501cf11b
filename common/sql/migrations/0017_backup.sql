-- Backups: where to, how each run went, and what a restore needs besides.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'callstash_backupd') THEN
        CREATE ROLE callstash_backupd LOGIN;
    END IF;
END $$;

ALTER TABLE sealing_key DROP CONSTRAINT sealing_key_name_check,
    ADD CHECK (name IN ('master', 'pbx', 'mail', 'backup'));

CREATE TABLE sealed_credential (
    name   text PRIMARY KEY,
    sealed bytea NOT NULL
);
COMMENT ON TABLE sealed_credential IS 'The secret keys of the daemons, sealed to the key "master", context = credential, name: whoever restores gets them back with it. Owner: the set-up tool.';

CREATE TABLE ssh_key (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    public_key text NOT NULL
);
COMMENT ON TABLE ssh_key IS 'With which the box logs in to a backup server, as one line for authorized_keys. Owner: the set-up tool.';

CREATE TYPE backup_kind AS ENUM ('volume', 'remote');
CREATE TABLE backup_target (
    single          boolean PRIMARY KEY DEFAULT true CHECK (single),
    kind            backup_kind NOT NULL,
    host            text NOT NULL DEFAULT '',
    port            integer NOT NULL DEFAULT 22 CHECK (port BETWEEN 1 AND 65535),
    path            text NOT NULL DEFAULT '',
    username        text NOT NULL DEFAULT '',
    password_sealed bytea,
    host_key        text NOT NULL DEFAULT '',
    target          uuid NOT NULL,
    saved_at        timestamptz NOT NULL DEFAULT now(),
    saved_by        text NOT NULL,
    CHECK (kind = 'volume' OR (host <> '' AND path LIKE '/%' AND username <> '' AND host_key <> ''))
);
COMMENT ON TABLE backup_target IS 'Where backups go; no row: nowhere. Owner: the web UI, which saves only what backupd has tried.';
COMMENT ON COLUMN backup_target.password_sealed IS 'Sealed to the key "backup", context = host, port, username, host key; null: the box logs in with its key.';
COMMENT ON COLUMN backup_target.host_key IS 'The one host key that is accepted, as type and base64.';
COMMENT ON COLUMN backup_target.target IS 'Stands in a file at the target, so that no other directory is taken for it.';

CREATE TABLE backup_progress (
    target      uuid PRIMARY KEY,
    copied_upto xid8 NOT NULL
);
COMMENT ON TABLE backup_progress IS 'What a target has: all files whose rows were written by transactions before this one. Owner: backupd.';

CREATE TYPE backup_state AS ENUM ('running', 'finished', 'failed', 'cancelled');
CREATE TABLE backup_run (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_by    text NOT NULL,
    target      uuid NOT NULL,
    state       backup_state NOT NULL DEFAULT 'running',
    phase       text NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    files_total bigint NOT NULL DEFAULT 0,
    files_done  bigint NOT NULL DEFAULT 0,
    statistics  jsonb NOT NULL DEFAULT '{}',
    catalogue   text,
    error       text,
    cancel_by   text,
    told_at     timestamptz,
    CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX backup_run_running ON backup_run ((true)) WHERE state = 'running';
COMMENT ON TABLE backup_run IS 'Backups, running and past. Owner: backupd; the web UI asks to cancel, the notifier notes that it told.';
COMMENT ON COLUMN backup_run.statistics IS 'As rsync said: files, transferred, created, deleted, bytes.';

CREATE TABLE restore_drill (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target      uuid NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    catalogue   text NOT NULL,
    recordings  bigint NOT NULL,
    sampled     integer NOT NULL,
    error       text
);
COMMENT ON TABLE restore_drill IS 'Tries to rebuild the database from a target and to read recordings back. Owner: backupd.';
COMMENT ON COLUMN restore_drill.sampled IS 'Recordings that were read back; null error: all as they were stored.';

CREATE TABLE backup_delete (
    path       text PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX backup_delete_at ON backup_delete (deleted_at);
COMMENT ON TABLE backup_delete IS 'Files that are deleted here and leave the backup after a grace, as they were named. Written by a trigger; backupd deletes.';
CREATE FUNCTION note_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO backup_delete (path) VALUES (NEW.path) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER unlink_noted AFTER INSERT ON unlink_pending FOR EACH ROW EXECUTE FUNCTION note_deletion();

ALTER TABLE recording_audio ADD written_by xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX recording_audio_written ON recording_audio (written_by);
COMMENT ON COLUMN recording_audio.written_by IS 'The transaction that stored or replaced the file: a backup copies what was written since the last one.';

GRANT SELECT, INSERT, UPDATE ON outbox, daemon_status TO callstash_backupd;
GRANT SELECT, INSERT ON inbox TO callstash_backupd;
GRANT INSERT (actor, action, subject, detail, address) ON audit TO callstash_backupd;
GRANT pg_read_all_data TO callstash_backupd;
GRANT UPDATE (answered_at, succeeded, answer) ON command TO callstash_backupd;
GRANT INSERT, UPDATE ON backup_progress, backup_run TO callstash_backupd;
GRANT INSERT ON restore_drill TO callstash_backupd;
GRANT UPDATE (sought_at) ON damage TO callstash_backupd;
GRANT SELECT ON restore_drill TO callstash_notifier, callstash_web;
GRANT DELETE ON backup_progress, backup_delete TO callstash_backupd;
GRANT SELECT ON ssh_key, backup_run TO callstash_web;
GRANT SELECT (single, kind, host, port, path, username, host_key, target, saved_at, saved_by), INSERT, UPDATE, DELETE
    ON backup_target TO callstash_web;
GRANT UPDATE (cancel_by) ON backup_run TO callstash_web;
GRANT SELECT, UPDATE (told_at) ON backup_run TO callstash_notifier;
GRANT SELECT (single, kind, saved_at) ON backup_target TO callstash_notifier;
