-- The key with which this CallStash signs what clients take along.

CREATE TABLE signing_key (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    public_key bytea NOT NULL CHECK (length(public_key) = 32)
);
COMMENT ON TABLE signing_key IS 'The public half of the Ed25519 key that signs exports and evidence; the private half is the credential sign.key. Owner: the set-up tool.';
GRANT SELECT ON signing_key TO callstash_web;
