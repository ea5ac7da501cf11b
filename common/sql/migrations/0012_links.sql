-- Mail that waits to be sent, and links to recordings that are sent by mail.

CREATE TABLE mail (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind        text NOT NULL,
    recipient   text NOT NULL,
    sealed      bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    next_try_at timestamptz DEFAULT now(),
    sent_at     timestamptz,
    refused_at  timestamptz,
    error       text,
    CHECK (num_nonnulls(next_try_at, sent_at, refused_at) = 1),
    CHECK ((sealed IS NULL) = (next_try_at IS NULL))
);
CREATE INDEX mail_due ON mail (next_try_at) WHERE next_try_at IS NOT NULL;
COMMENT ON TABLE mail IS 'Mail to one recipient each. Any process inserts; owner: the notifier, which sends it.';
COMMENT ON COLUMN mail.sealed IS 'What it says, as JSON, sealed to the key "mail", context = mail, id; gone when it is sent or given up.';
COMMENT ON COLUMN mail.expires_at IS 'When it is of no more use, and given up.';

CREATE TABLE link (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_sha256  bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    recording_id  uuid NOT NULL REFERENCES recording,
    sender        text NOT NULL,
    sender_name   text NOT NULL,
    recipient     text NOT NULL,
    message       text NOT NULL DEFAULT '' CHECK (length(message) <= 2000),
    mail_id       uuid NOT NULL REFERENCES mail,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    most_plays    integer CHECK (most_plays > 0),
    plays         integer NOT NULL DEFAULT 0,
    code_hash     text,
    code_failures integer NOT NULL DEFAULT 0,
    revoked_at    timestamptz,
    revoked_by    text,
    CHECK (expires_at > created_at AND expires_at <= created_at + interval '72 hours'),
    CHECK (plays <= most_plays),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX link_sender ON link (sender, id DESC);
CREATE INDEX link_recording ON link (recording_id);
COMMENT ON TABLE link IS 'Links that let somebody without an account hear one recording for a while. The mail holds the token, this table only its hash. Owner: the web UI.';
COMMENT ON COLUMN link.sender IS 'As in the audit log.';
COMMENT ON COLUMN link.plays IS 'How often it was opened, which is what most_plays limits.';
COMMENT ON COLUMN link.code_hash IS 'Argon2id of a code that the recipient must enter, which works once; null: none, or used.';

CREATE TABLE link_visit (
    link_id      integer NOT NULL REFERENCES link,
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    opened_at    timestamptz NOT NULL DEFAULT now(),
    until        timestamptz NOT NULL,
    address      inet,
    user_agent   text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 200),
    PRIMARY KEY (link_id, token_sha256, opened_at)
);
COMMENT ON TABLE link_visit IS 'Browsers that opened a link, by the hash of their token, and how long each may play. Owner: the web UI.';

GRANT INSERT, SELECT (id, kind, recipient, created_at, attempts, next_try_at, sent_at, refused_at, error) ON mail TO callstash_web;
GRANT SELECT, INSERT, UPDATE ON mail TO callstash_notifier;
GRANT SELECT, INSERT, UPDATE (plays, most_plays, code_hash, code_failures, revoked_at, revoked_by) ON link TO callstash_web;
GRANT SELECT, INSERT ON link_visit TO callstash_web;
