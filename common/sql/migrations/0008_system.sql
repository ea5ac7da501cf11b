-- What the system page shows: messages that nobody could handle, and how full the disks are.

CREATE TABLE dead_letter (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL,
    topic      text NOT NULL,
    body       text NOT NULL,
    queue      text NOT NULL,
    reason     text NOT NULL,
    died_at    timestamptz NOT NULL,
    noted_at   timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    settled_by text,
    UNIQUE (message_id, queue, died_at),
    CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
CREATE INDEX dead_letter_open ON dead_letter (id) WHERE settled_at IS NULL;
COMMENT ON TABLE dead_letter IS 'Messages that no daemon could read or survive. Owner: the housekeeper, which empties the dead-letter queue into it; the web UI settles them.';
COMMENT ON COLUMN dead_letter.settled_at IS 'When somebody had it tried again, or dropped it.';

CREATE TABLE disk (
    volume    text PRIMARY KEY CHECK (volume IN ('audio', 'database', 'backup')),
    directory text NOT NULL,
    size      bigint NOT NULL CHECK (size > 0),
    free      bigint NOT NULL,
    seen_at   timestamptz NOT NULL
);
COMMENT ON TABLE disk IS 'The file systems that can fill up, as they are now; bytes. Owner: the housekeeper.';

CREATE TABLE disk_sample (
    volume text NOT NULL,
    day    date NOT NULL,
    used   bigint NOT NULL,
    size   bigint NOT NULL,
    PRIMARY KEY (volume, day)
);
COMMENT ON TABLE disk_sample IS 'Bytes in use at the end of each day, for the forecast. Owner: the housekeeper.';

GRANT SELECT, INSERT ON dead_letter TO callstash_housekeeper;
GRANT SELECT, UPDATE (settled_at, settled_by) ON dead_letter TO callstash_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON disk, disk_sample TO callstash_housekeeper;
GRANT SELECT ON disk, disk_sample TO callstash_web;
GRANT DELETE ON daemon_status TO callstash_web;

CREATE INDEX outbox_parked ON outbox (created_at) WHERE refused_at IS NOT NULL;
