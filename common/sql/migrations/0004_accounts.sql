-- Accounts: the factory password, the second factor, sessions that are not open yet, and an audit log
-- whose time and order nobody can forge, and in which anything is found quickly.

ALTER TABLE account
    ADD factory boolean NOT NULL DEFAULT false,
    ADD totp_sealed bytea,
    ADD totp_step bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN account.factory IS 'The password is the factory one: it only opens the page that sets another.';
COMMENT ON COLUMN account.totp_sealed IS 'Secret of the second factor (RFC 6238), sealed to the key "master", context = totp, name; null: off.';
COMMENT ON COLUMN account.totp_step IS 'The last time step whose code was used: each works once.';

CREATE TYPE session_step AS ENUM ('open', 'password', 'code');
ALTER TABLE session
    ADD id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    ADD step session_step NOT NULL DEFAULT 'open',
    ADD user_agent text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 200);
COMMENT ON COLUMN session.step IS 'What this browser has yet to do before it is logged in: set a password, or enter a code.';

CREATE EXTENSION IF NOT EXISTS pg_trgm;

DROP INDEX audit_subject;
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_actor ON audit (actor, at, id);
CREATE INDEX audit_action ON audit (action, at, id);
CREATE INDEX audit_subject ON audit (subject, at, id);
CREATE INDEX audit_address ON audit (address, at, id);
CREATE INDEX audit_text ON audit USING gin ((subject || ' ' || detail::text) gin_trgm_ops);

REVOKE INSERT ON audit FROM callstash_poller, callstash_archiver, callstash_web,
    callstash_housekeeper, callstash_notifier;
GRANT INSERT (actor, action, subject, detail, address) ON audit TO callstash_poller,
    callstash_archiver, callstash_web, callstash_housekeeper, callstash_notifier;
