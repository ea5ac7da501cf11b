-- Exports that the housekeeper prepares and the web UI sends.

CREATE TYPE export_state AS ENUM ('preparing', 'ready', 'failed', 'cancelled', 'expired');

CREATE TABLE export (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company_id  integer NOT NULL,
    company     text NOT NULL,
    since       timestamptz,
    until       timestamptz,
    part        text,
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    state       export_state NOT NULL DEFAULT 'preparing',
    total       bigint NOT NULL,
    calls       bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    key_ids     text[] NOT NULL DEFAULT '{}',
    left_out    jsonb NOT NULL DEFAULT '[]',
    table_bytes bigint NOT NULL DEFAULT 0,
    after_start timestamptz,
    after_id    uuid,
    ended_at    timestamptz,
    error       text,
    CHECK ((after_start IS NULL) = (after_id IS NULL)),
    CHECK ((state = 'preparing') = (ended_at IS NULL))
);
CREATE INDEX export_company ON export (company_id, asked_at DESC);
CREATE INDEX export_open ON export (asked_at) WHERE state IN ('preparing', 'ready');

COMMENT ON TABLE export IS 'An encrypted export that the web UI sends. What is in it lies in the directory named id below the directory of exports, until it is cancelled, fails or expires. Owner: the housekeeper.';
COMMENT ON COLUMN export.company IS 'What the company was called, for when it is gone.';
COMMENT ON COLUMN export.part IS 'Part of a number or name of one of the parties.';
COMMENT ON COLUMN export.calls IS 'Calls that are listed so far; with those left out, of total.';
COMMENT ON COLUMN export.table_bytes IS 'Length of calls.csv when the row was written: what is beyond was written by a run that was killed.';
COMMENT ON COLUMN export.after_start IS 'The last call that was looked at.';
COMMENT ON COLUMN export.ended_at IS 'When it became ready, or ended otherwise.';

GRANT SELECT, INSERT, UPDATE ON export TO callstash_housekeeper;
GRANT SELECT ON export TO callstash_web;
GRANT SELECT ON general_settings TO callstash_housekeeper;
GRANT INSERT (id, kind, recipient, sealed, expires_at) ON mail TO callstash_housekeeper;
