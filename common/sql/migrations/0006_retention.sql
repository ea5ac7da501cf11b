-- What is kept and what may not be deleted: legal holds, and how they match recordings.

CREATE FUNCTION digits(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN regexp_replace(coalesce(substring($1 FROM '[0-9][0-9 ()./+-]*'), ''), '[^0-9]', '', 'g');
COMMENT ON FUNCTION digits IS 'The first number in the text of a party, such as 1001 of "1001 Alice Example".';

CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN lower(regexp_replace(normalize($1, NFKD), U&'[\0300-\036F]', '', 'g'));
COMMENT ON FUNCTION plain IS 'A name without capitals and accents.';

CREATE FUNCTION same_number(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN $1 = $2 OR (least(length($1), length($2)) >= 7
        AND right($1, least(9, length($1), length($2))) = right($2, least(9, length($1), length($2))));
COMMENT ON FUNCTION same_number IS 'May two strings of digits be one number? Up to 6 digits all of them count, of longer ones the last 9 that both have: +44…, 0044… and 0… meet.';

CREATE TABLE legal_hold (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL CHECK (name <> ''),
    reason         text NOT NULL CHECK (reason <> ''),
    company_id     integer REFERENCES company,
    number         text CHECK (number ~ '^[0-9]{2,}$'),
    party          text CHECK (party = plain(party) AND length(party) >= 2),
    since          timestamptz,
    until          timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    created_by     text NOT NULL,
    released_at    timestamptz,
    released_by    text,
    release_reason text CHECK (release_reason <> ''),
    CHECK (since < until),
    CHECK ((released_at IS NULL) = (released_by IS NULL)),
    CHECK ((released_at IS NULL) = (release_reason IS NULL))
);
CREATE INDEX legal_hold_active ON legal_hold (company_id) WHERE released_at IS NULL;
COMMENT ON TABLE legal_hold IS 'What may not be deleted, whatever retention says. Never changed but to be released. Owner: the web UI.';
COMMENT ON COLUMN legal_hold.company_id IS 'Null, like each of the following: any.';
COMMENT ON COLUMN legal_hold.until IS 'Not included.';

CREATE FUNCTION covers(
    h legal_hold, company integer, started timestamptz, caller text, callee text, parties text
) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (h.company_id IS NULL OR h.company_id = company)
        AND (h.since IS NULL OR started >= h.since)
        AND (h.until IS NULL OR started < h.until)
        AND (h.number IS NULL OR same_number(h.number, caller) OR same_number(h.number, callee))
        AND (h.party IS NULL OR strpos(parties, h.party) > 0);
COMMENT ON FUNCTION covers IS 'The one definition of what a hold covers; when in doubt it does. Takes of a recording company_id, started_at, digits(caller), digits(callee) and plain(caller || '' '' || callee).';

CREATE INDEX recording_caller ON recording (reverse(digits(caller)) text_pattern_ops);
CREATE INDEX recording_callee ON recording (reverse(digits(callee)) text_pattern_ops);
CREATE INDEX recording_parties ON recording USING gin (plain(caller || ' ' || callee) gin_trgm_ops);

GRANT SELECT, INSERT, UPDATE (released_at, released_by, release_reason) ON legal_hold TO callstash_web;
GRANT SELECT ON legal_hold, recording, recording_audio, company, pbx TO callstash_housekeeper;
REVOKE SELECT ON pbx FROM callstash_housekeeper;
GRANT SELECT (id, uid, name, state, keep_months) ON pbx TO callstash_housekeeper;
