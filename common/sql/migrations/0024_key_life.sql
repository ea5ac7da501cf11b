-- Keys that are replaced: how far the content keys are, and when somebody proved to have the recovery kit.

ALTER TABLE company_key
    ADD to_rewrap bigint,
    ADD rewrapped bigint NOT NULL DEFAULT 0,
    ADD rewrapped_at timestamptz;
COMMENT ON TABLE company_key IS 'RSA key pairs of 3072 bits or more. The poller makes the first when it first sees a company, the console tools make the others. None is deleted before its company.';
COMMENT ON COLUMN company_key.private_sealed IS 'PKCS#8 DER, sealed to the key "master", context = company uid, kid, version; null: the company has it, and this box can only archive.';
COMMENT ON COLUMN company_key.to_rewrap IS 'Of a retired key: how many content keys were wrapped with it when they began to be wrapped with the next; null: not begun.';
COMMENT ON COLUMN company_key.rewrapped IS 'How many of them are.';
COMMENT ON COLUMN company_key.rewrapped_at IS 'When none was left, a day or more after it was retired: until then an archiver may still use it.';

CREATE TABLE recovery_kit (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    read_at    timestamptz NOT NULL,
    read_by    text NOT NULL
);
COMMENT ON TABLE recovery_kit IS 'When somebody last showed the recovery kit, and of which master key. Owner: callstash check-kit.';
GRANT SELECT ON recovery_kit TO callstash_web, callstash_notifier;

-- What the housekeeper writes into a certificate of destruction.
GRANT SELECT (url) ON pbx TO callstash_housekeeper;
GRANT SELECT (version, kid) ON company_key TO callstash_housekeeper;
