"""The daemons, the messages between them, and the disks."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows

FORGETTABLE = 600  # seconds of silence after which a daemon may be forgotten


@dataclass(frozen=True)
class Daemon:
    """A process and what it says of itself."""

    name: str
    version: str
    started_at: datetime
    doing: str
    silent_seconds: float


def daemons(db: Connection) -> list[Daemon]:
    """Return the processes that have ever reported."""
    query = (
        "SELECT name, version, started_at, doing,"
        " extract(epoch FROM now() - seen_at)::float8 AS silent_seconds"
        " FROM daemon_status ORDER BY name"
    )
    return rows(db, Daemon, query)


def forget(db: Connection, name: str) -> bool:
    """Delete the row of a process that has long been silent; false where it has not."""
    query = (
        "DELETE FROM daemon_status WHERE name = %s AND seen_at < now() - %s * interval '1 second'"
    )
    return db.execute(query, [name, FORGETTABLE]).rowcount == 1


@dataclass(frozen=True)
class Disk:
    """A file system, in bytes, and the day on which it is full; None: not in sight."""

    volume: str
    directory: str
    size: int
    free: int
    seen_at: datetime
    is_low: bool
    full_on: date | None


def disks(db: Connection) -> list[Disk]:
    """Return the file systems that can fill up."""
    query = (
        "SELECT volume, directory, size, free, seen_at, is_low, full_on FROM disk"
        " ORDER BY array_position(ARRAY['audio', 'database', 'backup'], volume)"
    )
    return rows(db, Disk, query)


@dataclass(frozen=True)
class Array:
    """An array of disks, as raidmon saw it."""

    uuid: str
    name: str
    level: str
    state: str
    disks: int
    degraded: int
    is_read_only: bool
    action: str | None
    percent: float | None
    minutes_left: float | None
    seen_at: datetime


@dataclass(frozen=True)
class Member:
    """A disk of an array, or a place where one lacks."""

    uuid: str
    disk: str
    slot: int | None
    is_ok: bool
    is_removable: bool
    role: str


def arrays(db: Connection) -> list[tuple[Array, list[Member]]]:
    """Return the arrays of disks with their disks."""
    members = rows(
        db, Member, "SELECT uuid, disk, slot, is_ok, is_removable, role FROM raid_member"
        " ORDER BY uuid, position", [],
    )  # fmt: skip
    query = (
        "SELECT uuid, name, level, state::text, disks, degraded, is_read_only, action, percent,"
        " minutes_left, seen_at FROM raid_array ORDER BY name, uuid"
    )
    return [
        (array, [member for member in members if member.uuid == array.uuid])
        for array in rows(db, Array, query, [])
    ]


def forget_array(db: Connection, uuid: str) -> bool:
    """Delete an array that is no longer there; false where it is."""
    query = "DELETE FROM raid_array WHERE uuid = %s AND state = 'missing'"
    return db.execute(query, [uuid]).rowcount == 1


@dataclass(frozen=True)
class Letter:
    """A message that no daemon could read or survive."""

    id: int
    topic: str
    body: str
    queue: str
    reason: str
    died_at: datetime


def letters(db: Connection, limit: int) -> list[Letter]:
    """Return the dead letters that nobody has settled, the oldest first."""
    query = (
        "SELECT id, topic, body, queue, reason, died_at FROM dead_letter"
        " WHERE settled_at IS NULL ORDER BY id LIMIT %s"
    )
    return rows(db, Letter, query, [limit])


def settle(db: Connection, letter: int, by: str) -> Letter | None:
    """Note that somebody dealt with a dead letter; None where somebody did before."""
    query = (
        "UPDATE dead_letter SET settled_at = now(), settled_by = %s WHERE id = %s"
        " AND settled_at IS NULL RETURNING id, topic, body, queue, reason, died_at"
    )
    return next(iter(rows(db, Letter, query, [by, letter])), None)


def letter_exists(db: Connection, letter: int) -> bool:
    """Say whether there ever was this dead letter."""
    return db.execute("SELECT 1 FROM dead_letter WHERE id = %s", [letter]).fetchone() is not None


def send_again(db: Connection, topic: str, body: str) -> None:
    """Put the message of a dead letter into the outbox, as it was."""
    db.execute("INSERT INTO outbox (topic, body) VALUES (%s, %s::jsonb)", [topic, body])


@dataclass(frozen=True)
class Outbox:
    """Messages on their way: waiting to be sent, and parked since nobody listens."""

    waiting: int
    parked: int


def outbox(db: Connection) -> Outbox:
    """Return how many messages wait."""
    query = (
        "SELECT (SELECT count(*) FROM outbox WHERE sent_at IS NULL AND refused_at IS NULL)"
        " AS waiting, (SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL"
        " AND sent_at IS NULL) AS parked"
    )
    return rows(db, Outbox, query)[0]


def unpark(db: Connection) -> list[UUID]:
    """Have parked messages tried again, and return their ids."""
    query = "UPDATE outbox SET refused_at = NULL WHERE refused_at IS NOT NULL RETURNING id"
    return [row[0] for row in db.execute(query)]


def version(db: Connection) -> str:
    """Return the version of PostgreSQL."""
    row = db.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])
