-- Whether everything is there and whole: disks, inspections of the archive, damage, completeness.

ALTER TABLE disk ADD is_low boolean NOT NULL DEFAULT false, ADD full_on date;
COMMENT ON COLUMN disk.is_low IS 'Below a tenth; no longer only once it is above twelve hundredths.';
COMMENT ON COLUMN disk.full_on IS 'The day on which it is full if it grows as it did; null: not in sight.';

CREATE TYPE inspection_kind AS ENUM ('sweep', 'scrub');
CREATE TABLE inspection (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        inspection_kind NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    place       text NOT NULL DEFAULT '',
    files       bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    found       bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX inspection_running ON inspection (kind) WHERE finished_at IS NULL;
COMMENT ON TABLE inspection IS 'Sweeps compare the names of files with the database, scrubs read every stored file. Owner: the housekeeper.';
COMMENT ON COLUMN inspection.place IS 'How far it is: of a sweep company/day, of a scrub the recording.';
COMMENT ON COLUMN inspection.found IS 'Damage that was not known before.';

CREATE TYPE damage_kind AS ENUM ('missing', 'mismatched', 'unreadable', 'untracked');
CREATE TYPE damage_end AS ENUM ('fetched', 'backup', 'found', 'deleted');
CREATE TABLE damage (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path         text NOT NULL,
    kind         damage_kind NOT NULL,
    recording_id uuid,
    generation   smallint,
    found_at     timestamptz NOT NULL,
    asked_at     timestamptz,
    sought_at    timestamptz,
    ended_at     timestamptz,
    ended_by     damage_end,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CHECK (kind = 'untracked' OR recording_id IS NOT NULL)
);
CREATE UNIQUE INDEX damage_open ON damage (path) WHERE ended_at IS NULL;
CREATE INDEX damage_recording ON damage (recording_id) WHERE ended_at IS NULL;
COMMENT ON TABLE damage IS 'Stored files that are not as they were stored, and files that nobody knows. Owner: the housekeeper.';
COMMENT ON COLUMN damage.generation IS 'Of the file; a later one in recording_audio has taken its place.';
COMMENT ON COLUMN damage.sought_at IS 'When backupd last looked for it in the backup.';
COMMENT ON COLUMN damage.asked_at IS 'When it was put in line to be fetched from the PBX again.';

CREATE TABLE listing_day (
    company_id integer NOT NULL REFERENCES company,
    day        date NOT NULL,
    listed     integer NOT NULL,
    refused    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (company_id, day)
);
COMMENT ON TABLE listing_day IS 'How many recordings the PBX listed of each day (UTC), the most that it ever did, counted apart from the recordings. Owner: the poller.';
COMMENT ON COLUMN listing_day.refused IS 'Rows that could not be used, by the day of the listing: when their calls were can''t be read.';

CREATE TABLE completeness (
    company_id integer NOT NULL REFERENCES company,
    day        date NOT NULL,
    listed     integer NOT NULL,
    refused    integer NOT NULL,
    stored     integer NOT NULL,
    waiting    integer NOT NULL,
    gone       integer NOT NULL,
    checked_at timestamptz NOT NULL,
    unexplained integer NOT NULL GENERATED ALWAYS AS
        (greatest(0, listed - stored - waiting - gone)) STORED,
    PRIMARY KEY (company_id, day)
);
CREATE INDEX completeness_open ON completeness (day) WHERE unexplained > 0 OR waiting > 0;
COMMENT ON TABLE completeness IS 'What became of the recordings that a PBX listed, by company and day (UTC) of the call; the last 31 days are counted anew each night. Owner: the housekeeper.';

CREATE INDEX recording_unfetched ON recording (pbx_id, started_at) INCLUDE (listed_at) WHERE state = 'listed';

CREATE VIEW loss_clock AS
    SELECT p.id AS pbx_id, p.name,
        (SELECT min(r.started_at) FROM recording r WHERE r.pbx_id = p.id AND r.state = 'listed') AS unfetched,
        (SELECT min(r.started_at) FROM recording r WHERE r.pbx_id = p.id AND r.state = 'listed'
            AND r.listed_at < now() - interval '6 hours') AS stuck,
        (SELECT min(coalesce(c.listed_until, c.created_at)) FROM company c
            WHERE c.pbx_id = p.id AND c.state = 'active') AS unlisted
    FROM pbx p WHERE p.state = 'active';
COMMENT ON VIEW loss_clock IS 'Since when there are calls that the PBX has and the archive does not: the start of the oldest that is listed, of the oldest that was listed hours ago, and the end of what is listed of all companies. 21 days later the PBX forgets them.';

ALTER TABLE daemon_status ADD starts timestamptz[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN daemon_status.starts IS 'The last starts, newest first.';

CREATE TABLE upgrade (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    checked_at timestamptz NOT NULL,
    installed  text,
    candidate  text
);
COMMENT ON TABLE upgrade IS 'Which version apt would install. Owner: the housekeeper.';
COMMENT ON COLUMN upgrade.installed IS 'Null: it does not run from the package.';
COMMENT ON COLUMN upgrade.candidate IS 'A newer version; null: there is none.';
GRANT SELECT, INSERT, UPDATE ON upgrade TO callstash_housekeeper;
GRANT SELECT ON upgrade TO callstash_web;

GRANT SELECT, INSERT, UPDATE ON listing_day TO callstash_poller;
GRANT SELECT ON damage TO callstash_archiver, callstash_web;
GRANT SELECT ON disk TO callstash_archiver;
GRANT SELECT, INSERT, UPDATE ON inspection, damage TO callstash_housekeeper;
GRANT SELECT, INSERT, UPDATE, DELETE ON completeness TO callstash_housekeeper;
GRANT SELECT, DELETE ON listing_day TO callstash_housekeeper;
GRANT SELECT ON inspection, completeness, loss_clock TO callstash_web;
GRANT SELECT, DELETE ON outbox, inbox, command, dead_letter TO callstash_housekeeper;
