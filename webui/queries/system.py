"""The daemons, the messages between them, and the disks."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows

FORGETTABLE = 600  # seconds of silence after which a daemon may be forgotten


def forget(db: Connection, name: str) -> bool:
    """Delete the row of a process that has long been silent; false where it has not."""
    query = (
        "DELETE FROM daemon_status WHERE name = %s AND seen_at < now() - %s * interval '1 second'"
    )
    return db.execute(query, [name, FORGETTABLE]).rowcount == 1


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


def unpark(db: Connection) -> list[UUID]:
    """Have parked messages tried again, and return their ids."""
    query = "UPDATE outbox SET refused_at = NULL WHERE refused_at IS NOT NULL RETURNING id"
    return [row[0] for row in db.execute(query)]


def version(db: Connection) -> str:
    """Return the version of PostgreSQL."""
    row = db.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])
