"""What people wrote on calls."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Note:
    """A note on a call, at a second in it."""

    id: int
    second: float
    body: str
    author: str
    author_name: str
    written_at: datetime


def notes(db: Connection, recording_id: UUID) -> list[Note]:
    """Return the notes on a call, in the order of its time."""
    query = (
        "SELECT id, second, body, author, author_name, written_at FROM call_note"
        " WHERE recording_id = %s ORDER BY second, id"
    )
    return rows(db, Note, query, [recording_id])


def add(
    db: Connection, recording_id: UUID, second: float, body: str, author: str, name: str
) -> int:
    """Insert a note and return its id."""
    row = db.execute(
        "INSERT INTO call_note (recording_id, second, body, author, author_name)"
        " VALUES (%s, %s, %s, %s, %s) RETURNING id",
        [recording_id, second, body, author, name],
    ).fetchone()
    assert row is not None
    return int(row[0])


def remove(db: Connection, recording_id: UUID, note_id: int, author: str) -> bool:
    """Delete a note of an author; false where there is none."""
    query = "DELETE FROM call_note WHERE id = %s AND recording_id = %s AND author = %s"
    return db.execute(query, [note_id, recording_id, author]).rowcount == 1
