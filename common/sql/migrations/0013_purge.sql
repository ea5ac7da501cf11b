-- Deleting what has expired and what belonged to deleted companies: runs, tombstones, the brake.

CREATE TYPE purge_state AS ENUM ('running', 'finished', 'braked');
CREATE TYPE purge_reason AS ENUM ('retention', 'company');

CREATE TABLE purge (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_by      text NOT NULL,
    state         purge_state NOT NULL DEFAULT 'running',
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    archive_calls bigint NOT NULL,
    planned_calls bigint NOT NULL,
    planned_bytes bigint NOT NULL,
    held_calls    bigint NOT NULL,
    deleted_calls bigint NOT NULL DEFAULT 0,
    deleted_bytes bigint NOT NULL DEFAULT 0,
    companies     integer NOT NULL DEFAULT 0,
    CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX purge_running ON purge ((true)) WHERE state = 'running';
COMMENT ON TABLE purge IS 'Nightly deletions, running and past: what each was to delete and what it did. Owner: the housekeeper.';
COMMENT ON COLUMN purge.held_calls IS 'What has expired too and a legal hold keeps.';
COMMENT ON COLUMN purge.companies IS 'Companies that are gone for good, with their keys.';

CREATE TABLE purge_permit (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    calls      bigint NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by text NOT NULL
);
COMMENT ON TABLE purge_permit IS 'Lets one deletion of up to so many calls pass the brake, within a day. The web UI grants it, the housekeeper uses it up.';

CREATE TABLE tombstone (
    recording_id uuid PRIMARY KEY,
    company_id   integer NOT NULL,
    purge_id     bigint NOT NULL REFERENCES purge,
    deleted_at   timestamptz NOT NULL DEFAULT now(),
    reason       purge_reason NOT NULL,
    asked_by     text NOT NULL
);
COMMENT ON TABLE tombstone IS 'What is left of a deleted recording: that it was there, when it went, why, and who wanted it. Owner: the housekeeper.';

-- A hold remembers the number of a company that is gone.
ALTER TABLE legal_hold DROP CONSTRAINT legal_hold_company_id_fkey;

GRANT SELECT, INSERT, UPDATE ON purge TO callstash_housekeeper;
GRANT SELECT, DELETE ON purge_permit TO callstash_housekeeper;
GRANT SELECT, INSERT ON tombstone TO callstash_housekeeper;
GRANT SELECT, UPDATE, DELETE ON recording TO callstash_housekeeper;
GRANT SELECT, DELETE ON recording_audio, recording_owner, ownership_due, call_note, link, link_visit,
    company, company_key, company_usage, extension_owner, poll_company, poll_tally TO callstash_housekeeper;
REVOKE SELECT ON company_key FROM callstash_housekeeper;
GRANT SELECT (company_id) ON company_key TO callstash_housekeeper;
GRANT INSERT, UPDATE ON company_usage TO callstash_housekeeper;
GRANT SELECT, INSERT, DELETE, UPDATE ON unlink_pending TO callstash_housekeeper;
GRANT SELECT ON purge, tombstone TO callstash_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON purge_permit TO callstash_web;
