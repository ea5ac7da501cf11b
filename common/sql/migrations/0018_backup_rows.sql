-- Backups that copy the rows of recordings day by day, and only of days that changed.

CREATE TABLE backup_changed (
    day        date NOT NULL,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE backup_changed IS 'Days (UTC) of which rows of recordings changed since the last backup, again and again. Written by triggers; backupd deletes what a finished catalogue has.';
COMMENT ON COLUMN backup_changed.written_by IS 'The transaction that changed them: it may be over only after the catalogue was begun.';

CREATE TABLE backup_rows (
    target     uuid NOT NULL,
    day        date NOT NULL,
    sha256     bytea NOT NULL CHECK (length(sha256) = 32),
    content    bytea NOT NULL CHECK (length(content) = 32),
    recordings bigint NOT NULL,
    bytes      bigint NOT NULL,
    PRIMARY KEY (target, day)
);
COMMENT ON TABLE backup_rows IS 'The file with the rows of each day in the newest complete catalogue of a target. Owner: backupd.';
COMMENT ON COLUMN backup_rows.sha256 IS 'Of the file as it lies at the target; it is part of its name.';
COMMENT ON COLUMN backup_rows.content IS 'SHA-256 of what is in it, unpacked: two versions of zlib may pack it differently.';
COMMENT ON COLUMN backup_rows.recordings IS 'How many rows of recording_audio are in it, and in bytes the sum of their file_size.';

ALTER TABLE backup_progress ADD compared_at timestamptz;
COMMENT ON COLUMN backup_progress.compared_at IS 'When the whole target was last compared with this box; null: the next backup does.';

CREATE FUNCTION note_changed_days() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO backup_changed (day) SELECT (started_at AT TIME ZONE 'UTC')::date
            FROM (SELECT started_at FROM changed UNION ALL SELECT started_at FROM former) both_of GROUP BY 1;
    ELSE
        INSERT INTO backup_changed (day)
            SELECT (started_at AT TIME ZONE 'UTC')::date FROM changed GROUP BY 1;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION note_changed_parts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO backup_changed (day) SELECT (r.started_at AT TIME ZONE 'UTC')::date
        FROM changed c JOIN recording r ON r.id = c.recording_id GROUP BY 1;
    RETURN NULL;
END $$;
CREATE TRIGGER backup_inserted AFTER INSERT ON recording REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE TRIGGER backup_updated AFTER UPDATE ON recording REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE TRIGGER backup_deleted AFTER DELETE ON recording REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE TRIGGER backup_inserted AFTER INSERT ON recording_audio REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_parts();
CREATE TRIGGER backup_updated AFTER UPDATE ON recording_audio REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_parts();
CREATE TRIGGER backup_deleted AFTER DELETE ON recording_audio REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_parts();
CREATE TRIGGER backup_inserted AFTER INSERT ON recording_owner REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_parts();
CREATE TRIGGER backup_updated AFTER UPDATE ON recording_owner REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_parts();
CREATE TRIGGER backup_deleted AFTER DELETE ON recording_owner REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_parts();

GRANT DELETE ON backup_changed TO callstash_backupd;
GRANT INSERT, UPDATE, DELETE ON backup_rows TO callstash_backupd;
