-- What is wrong now, who was told, and who else is to be told.

CREATE TABLE alert (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL,
    subject         text NOT NULL,
    rank            integer NOT NULL CHECK (rank > 0),
    is_critical     boolean NOT NULL,
    title           text NOT NULL,
    body            text NOT NULL,
    raised_at       timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    quiet_since     timestamptz,
    ended_at        timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    told_rank       integer NOT NULL DEFAULT 0,
    told_at         timestamptz,
    told_end        boolean NOT NULL DEFAULT false,
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
CREATE UNIQUE INDEX alert_open ON alert (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX alert_ended ON alert (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX alert_told ON alert (told_at) WHERE told_at IS NOT NULL;
COMMENT ON TABLE alert IS 'Conditions that need a person, from when they were first seen until they were no longer. Owner: the notifier; the web UI acknowledges.';
COMMENT ON COLUMN alert.subject IS 'What it is about, such as the id of a PBX; empty: the box.';
COMMENT ON COLUMN alert.rank IS 'How bad it is now: compared only with itself.';
COMMENT ON COLUMN alert.quiet_since IS 'Since when it is over, where it is the kind that comes back at once: it ends when it has been over for a while.';
COMMENT ON COLUMN alert.told_rank IS 'The worst that mail has told; 0: it has told nothing.';

CREATE TABLE webhook (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url           text NOT NULL UNIQUE CHECK (url ~ '^https?://[^/]+'),
    secret_sealed bytea NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text NOT NULL
);
CREATE INDEX link_mail ON link (mail_id);
COMMENT ON TABLE webhook IS 'Addresses that are told of alerts besides mail. Owner: the web UI.';
COMMENT ON COLUMN webhook.secret_sealed IS 'Key of the signature, sealed to the key "mail", context = webhook, url.';

CREATE TABLE webhook_delivery (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id  integer NOT NULL REFERENCES webhook ON DELETE CASCADE,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    sent_at     timestamptz,
    error       text
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_delivery_of ON webhook_delivery (webhook_id, created_at DESC);
COMMENT ON TABLE webhook_delivery IS 'What webhooks are told, each until it is taken or of no more use. Owner: the notifier.';

CREATE TABLE digest (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    last_at timestamptz NOT NULL
);
COMMENT ON TABLE digest IS 'When the weekly mail was last due and sent. Owner: the notifier.';

ALTER TABLE general_settings ADD on_digest boolean NOT NULL DEFAULT false;

GRANT SELECT, INSERT, UPDATE, DELETE ON alert, webhook_delivery, digest TO callstash_notifier;
GRANT SELECT ON webhook TO callstash_notifier;
GRANT DELETE ON mail TO callstash_notifier;
GRANT SELECT (mail_id) ON link TO callstash_notifier;
GRANT SELECT ON disk, poll, poll_schedule, poll_tally, pbx_contact, loss_clock, damage, completeness, purge,
    purge_permit, dead_letter, outbox, daemon_status, company, inspection TO callstash_notifier;
GRANT SELECT (id, name, state) ON pbx TO callstash_notifier;
GRANT SELECT (id, state, listed_at) ON recording TO callstash_notifier;
GRANT SELECT, UPDATE (acknowledged_at, acknowledged_by) ON alert TO callstash_web;
GRANT SELECT (id, url, created_at, created_by), INSERT, DELETE ON webhook TO callstash_web;
GRANT SELECT ON webhook_delivery TO callstash_web;
