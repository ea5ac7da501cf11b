-- Who took part in a call, as the PBX said when it listed it, and what a call is found by.

CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE pbx_user (
    id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pbx_id    integer NOT NULL REFERENCES pbx,
    remote_id text NOT NULL CHECK (remote_id <> ''),
    login     text NOT NULL DEFAULT '',
    name      text NOT NULL DEFAULT '',
    UNIQUE (pbx_id, remote_id)
);
COMMENT ON TABLE pbx_user IS 'Users of the PBXs: those who own extensions, and those who have logged in. Owner: the poller; the web UI at each login.';
COMMENT ON COLUMN pbx_user.remote_id IS 'The PBX''s own id of the user; login and name may change.';

CREATE TABLE extension_owner (
    company_id integer NOT NULL REFERENCES company,
    extension  text NOT NULL,
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    user_id    integer REFERENCES pbx_user,
    PRIMARY KEY (company_id, extension, since),
    CHECK (since <= until)
);
COMMENT ON TABLE extension_owner IS 'Whose an extension was, from the first to the last time that the PBX said so. Owner: the poller.';
COMMENT ON COLUMN extension_owner.user_id IS 'Null: nobody''s.';

ALTER TABLE recording
    ADD caller_name text NOT NULL DEFAULT '',
    ADD callee_name text NOT NULL DEFAULT '',
    ADD parties text NOT NULL GENERATED ALWAYS AS
        (plain(caller || ' ' || callee || ' ' || caller_name || ' ' || callee_name)) STORED;
COMMENT ON COLUMN recording.caller_name IS 'Name of the user whose extension it was, like callee_name; empty: not known.';
COMMENT ON COLUMN recording.parties IS 'What the call is found by.';
COMMENT ON FUNCTION covers IS 'The one definition of what a hold covers; when in doubt it does. Takes of a recording company_id, started_at, digits(caller), digits(callee) and parties.';

DROP INDEX recording_parties;
CREATE INDEX recording_parties ON recording USING gin (company_id, parties gin_trgm_ops);

CREATE INDEX recording_long ON recording (duration, company_id) WHERE duration >= 600;

CREATE TABLE recording_owner (
    recording_id uuid NOT NULL REFERENCES recording,
    user_id      integer NOT NULL REFERENCES pbx_user,
    started_at   timestamptz NOT NULL,
    PRIMARY KEY (recording_id, user_id)
);
CREATE INDEX recording_owner_newest ON recording_owner (user_id, started_at DESC, recording_id DESC);
COMMENT ON TABLE recording_owner IS 'Users whose own call it is, because an extension that took part was theirs. Decided once. Owner: the poller.';

CREATE TABLE ownership_due (
    recording_id uuid PRIMARY KEY REFERENCES recording,
    company_id   integer NOT NULL REFERENCES company
);
CREATE INDEX ownership_due_company ON ownership_due (company_id);
COMMENT ON TABLE ownership_due IS 'Recordings of which the PBX has yet to say whose extensions took part. Owner: the poller.';
INSERT INTO ownership_due SELECT id, company_id FROM recording;

GRANT SELECT, INSERT, UPDATE (name) ON pbx_user TO callstash_poller;
GRANT SELECT, INSERT, UPDATE ON extension_owner TO callstash_poller;
GRANT SELECT, INSERT ON recording_owner TO callstash_poller;
GRANT SELECT, INSERT, DELETE ON ownership_due TO callstash_poller;
GRANT UPDATE (direction, caller_name, callee_name) ON recording TO callstash_poller;
GRANT SELECT, INSERT, UPDATE (login, name) ON pbx_user TO callstash_web;
GRANT SELECT ON recording_owner TO callstash_web;
