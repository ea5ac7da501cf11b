-- End users: their sessions, and their notes on calls.

ALTER TABLE session
    ALTER account DROP NOT NULL,
    ADD user_id integer REFERENCES pbx_user,
    ADD hears integer[] NOT NULL DEFAULT '{}',
    ADD CHECK (num_nonnulls(account, user_id) = 1),
    ADD CHECK (user_id IS NOT NULL OR hears = '{}');
COMMENT ON COLUMN session.user_id IS 'A PBX user, where it is not an administrator''s.';
COMMENT ON COLUMN session.hears IS 'Companies of which this user hears all calls, as the PBX said at the login.';

CREATE TABLE call_note (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id uuid NOT NULL REFERENCES recording,
    second       double precision NOT NULL CHECK (second >= 0),
    body         text NOT NULL CHECK (body <> '' AND length(body) <= 2000),
    author       text NOT NULL,
    author_name  text NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX call_note_recording ON call_note (recording_id, second, id);
COMMENT ON TABLE call_note IS 'What people wrote on a call, at a second in it. Never changed, only removed by its author. Owner: the web UI.';
COMMENT ON COLUMN call_note.author IS 'As in the audit log.';

GRANT SELECT, DELETE, INSERT (recording_id, second, body, author, author_name) ON call_note TO callstash_web;
