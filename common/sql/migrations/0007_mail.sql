-- The e-mail server and who is told what.

CREATE TYPE mail_security AS ENUM ('plain', 'starttls', 'tls');

CREATE TABLE mail_server (
    single          boolean PRIMARY KEY DEFAULT true CHECK (single),
    host            text NOT NULL CHECK (host <> ''),
    port            integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    security        mail_security NOT NULL,
    username        text NOT NULL DEFAULT '',
    password_sealed bytea,
    saved_at        timestamptz NOT NULL DEFAULT now(),
    saved_by        text NOT NULL,
    CHECK ((username = '') = (password_sealed IS NULL))
);
COMMENT ON TABLE mail_server IS 'Where mail is handed in; no row: nowhere. Owner: the web UI, which saves only what the notifier has tried.';
COMMENT ON COLUMN mail_server.password_sealed IS 'Sealed to the key "mail", context = host, security, username: it opens for no other server.';

CREATE TABLE general_settings (
    single               boolean PRIMARY KEY DEFAULT true CHECK (single),
    sender               text NOT NULL DEFAULT '',
    recipients           text[] NOT NULL DEFAULT '{}',
    on_disk_low          boolean NOT NULL DEFAULT true,
    on_poll_failure      boolean NOT NULL DEFAULT true,
    on_backup            boolean NOT NULL DEFAULT true,
    users_may_mail_links boolean NOT NULL DEFAULT false
);
INSERT INTO general_settings DEFAULT VALUES;
COMMENT ON TABLE general_settings IS 'Who is told what by mail. Owner: the web UI.';

GRANT SELECT (single, host, port, security, username, saved_at, saved_by), INSERT, UPDATE, DELETE
    ON mail_server TO callstash_web;
GRANT SELECT, UPDATE ON general_settings TO callstash_web;
GRANT SELECT ON mail_server, general_settings TO callstash_notifier;
