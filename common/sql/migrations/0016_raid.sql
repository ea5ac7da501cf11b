-- The arrays of disks below the archive, as the kernel says.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'callstash_raidmon') THEN
        CREATE ROLE callstash_raidmon LOGIN;
    END IF;
END $$;

CREATE TYPE raid_state AS ENUM ('clean', 'degraded', 'failed', 'inactive', 'missing');

CREATE TABLE raid_array (
    uuid         text PRIMARY KEY,
    name         text NOT NULL,
    level        text NOT NULL,
    state        raid_state NOT NULL,
    disks        integer NOT NULL,
    degraded     integer NOT NULL,
    is_read_only boolean NOT NULL DEFAULT false,
    action       text,
    percent      real,
    minutes_left real,
    seen_at      timestamptz NOT NULL
);
COMMENT ON TABLE raid_array IS 'Arrays that were ever seen, by the identity in their superblock; one that is no longer there is missing until it is forgotten. Owner: raidmon.';
COMMENT ON COLUMN raid_array.state IS 'failed: more disks are gone than its level can do without.';
COMMENT ON COLUMN raid_array.action IS 'recover, resync, check, repair, reshape; null: none runs.';

CREATE TABLE raid_member (
    uuid         text NOT NULL REFERENCES raid_array ON DELETE CASCADE,
    position     integer NOT NULL,
    disk         text NOT NULL DEFAULT '',
    slot         integer,
    is_ok        boolean NOT NULL,
    is_removable boolean NOT NULL,
    role         text NOT NULL,
    PRIMARY KEY (uuid, position)
);
COMMENT ON TABLE raid_member IS 'Disks of an array, in the order in which they are shown; a slot without a disk has an empty name. Owner: raidmon.';
COMMENT ON COLUMN raid_member.role IS 'in use, rebuilding, spare, faulty, missing.';

GRANT SELECT, INSERT, UPDATE ON outbox, daemon_status TO callstash_raidmon;
GRANT SELECT, INSERT ON inbox TO callstash_raidmon;
GRANT SELECT ON schema_migration TO callstash_raidmon;
GRANT SELECT, INSERT, UPDATE, DELETE ON raid_array, raid_member TO callstash_raidmon;
GRANT SELECT ON raid_array, raid_member TO callstash_notifier, callstash_web;
GRANT DELETE ON raid_array TO callstash_web;
