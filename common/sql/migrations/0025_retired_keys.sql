-- A retired key of a company is destroyed when nothing has needed it for as long as a backup's catalogues are kept.

ALTER TABLE company_key ADD unneeded_at timestamptz CHECK (unneeded_at IS NULL OR retired_at IS NOT NULL);
COMMENT ON COLUMN company_key.unneeded_at IS 'Since when the housekeeper finds no recording that a retired key opens; null: there is one, or it has not looked. It destroys the key 744 days later.';
COMMENT ON TABLE company_key IS 'RSA key pairs of 3072 bits or more. The poller makes the first when it first sees a company, the console tools make the others. The housekeeper deletes them with their company, and retired ones that nothing needs.';
GRANT SELECT (version, kid, retired_at, unneeded_at), UPDATE (unneeded_at) ON company_key TO callstash_housekeeper;

-- Without it, deleting a key reads all recordings to see that none names it.
CREATE INDEX recording_audio_key ON recording_audio (company_id, key_version);
