-- The licence of this machine, which the housekeeper gets and renews.

CREATE TABLE box (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id     uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO box DEFAULT VALUES;
COMMENT ON TABLE box IS 'The identity of this CallStash, to which its licence is bound. Never changed.';

CREATE TABLE licence (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    document      text NOT NULL,
    serial        text NOT NULL,
    pbxs          integer NOT NULL CHECK (pbxs > 0),
    activated     date NOT NULL,
    support_until date NOT NULL,
    installed_at  timestamptz NOT NULL DEFAULT now(),
    refreshed_at  timestamptz,
    tried_at      timestamptz,
    failures      integer NOT NULL DEFAULT 0,
    error         text
);
COMMENT ON TABLE licence IS 'The licence in force. Owner: the housekeeper, which has verified its signature.';
COMMENT ON COLUMN licence.document IS 'As the vendor signed it; the other columns stand in it.';
COMMENT ON COLUMN licence.error IS 'Why the last refresh failed, in words. It changes nothing else.';

GRANT SELECT ON box, licence TO callstash_web, callstash_housekeeper;
GRANT INSERT, UPDATE ON licence TO callstash_housekeeper;
