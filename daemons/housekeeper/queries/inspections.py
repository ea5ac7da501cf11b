"""SQL: sweeps and scrubs of the archive, and the damage that they find."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Inspection:
    """A sweep or a scrub; `place` is how far it is."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    place: str


@dataclass(frozen=True)
class Stored:
    """A stored file: what it is called after, and what it was when it was stored."""

    id: UUID
    company_id: int
    started_at: datetime
    generation: int
    file_size: int
    file_sha256: bytes


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was stored, or that nobody knows."""

    id: int
    path: str
    kind: str
    recording_id: UUID | None
    generation: int | None
    found_at: datetime


_STORED = (
    "SELECT r.id, r.company_id, r.started_at, a.generation, a.file_size, a.file_sha256"
    " FROM recording r JOIN recording_audio a ON a.recording_id = r.id"
)


def last(db: Connection, kind: str) -> Inspection | None:
    """Return the last sweep or scrub, which may be running."""
    with db.cursor(row_factory=class_row(Inspection)) as cursor:
        return cursor.execute(
            "SELECT id, started_at, finished_at, place FROM inspection WHERE kind = %s"
            " ORDER BY id DESC LIMIT 1",
            [kind],
        ).fetchone()


def begin(db: Connection, kind: str, now: datetime) -> None:
    """Insert a sweep or a scrub."""
    db.execute("INSERT INTO inspection (kind, started_at) VALUES (%s, %s)", [kind, now])


def advance(db: Connection, inspection: int, place: str, files: int, size: int, found: int) -> None:
    """Note how far an inspection is and what it saw on the way."""
    db.execute(
        "UPDATE inspection SET place = %s, files = files + %s, bytes = bytes + %s,"
        " found = found + %s WHERE id = %s",
        [place, files, size, found, inspection],
    )


def end(db: Connection, inspection: int, now: datetime) -> tuple[int, int]:
    """End an inspection; return how many files it saw, and how much damage it found."""
    row = db.execute(
        "UPDATE inspection SET finished_at = %s WHERE id = %s RETURNING files, found",
        [now, inspection],
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def stored_bytes(db: Connection) -> int:
    """Return how many bytes are stored."""
    row = db.execute("SELECT coalesce(sum(bytes), 0)::bigint FROM company_usage").fetchone()
    return int(row[0]) if row else 0


def newest(db: Connection) -> Stored | None:
    """Return the stored recording that began last."""
    with db.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(
            f"{_STORED} WHERE r.state = 'stored' ORDER BY r.started_at DESC, r.id DESC LIMIT 1"
        ).fetchone()


def after(db: Connection, recording: UUID, limit: int) -> list[Stored]:
    """Return stored recordings in the order of their ids, beyond one."""
    with db.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(
            f"{_STORED} WHERE a.recording_id > %s ORDER BY a.recording_id LIMIT %s",
            [recording, limit],
        ).fetchall()


def one(db: Connection, recording: UUID) -> Stored | None:
    """Return a stored recording as it is now."""
    with db.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(f"{_STORED} WHERE r.id = %s", [recording]).fetchone()


def of_day(db: Connection, company: int, day: datetime) -> list[Stored]:
    """Return the stored recordings of a company that began on a day (UTC)."""
    with db.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(
            f"{_STORED} WHERE r.company_id = %s AND r.started_at >= %s AND r.started_at < %s",
            [company, day, day + timedelta(days=1)],
        ).fetchall()


def next_day(db: Connection, company: int, since: datetime) -> date | None:
    """Return the first day (UTC) of a company's recordings that is not before an instant."""
    row = db.execute(
        "SELECT started_at FROM recording WHERE company_id = %s AND started_at >= %s"
        " ORDER BY started_at LIMIT 1",
        [company, since],
    ).fetchone()
    return row[0].date() if row else None


def companies(db: Connection) -> list[int]:
    """Return the ids of the companies."""
    return [int(row[0]) for row in db.execute("SELECT id FROM company ORDER BY id")]


def states(db: Connection, recordings: Sequence[UUID]) -> dict[UUID, str]:
    """Return the states of recordings, `deleted` where only a tombstone is left."""
    query = (
        "SELECT i.id, coalesce(r.state::text, 'deleted') FROM unnest(%s::uuid[]) AS i (id)"
        " LEFT JOIN recording r ON r.id = i.id LEFT JOIN tombstone t ON t.recording_id = i.id"
        " WHERE r.id IS NOT NULL OR t.recording_id IS NOT NULL"
    )
    return {row[0]: str(row[1]) for row in db.execute(query, [list(recordings)])}


def unlink_later(db: Connection, path: str) -> None:
    """Have a file removed."""
    db.execute("INSERT INTO unlink_pending (path) VALUES (%s) ON CONFLICT DO NOTHING", [path])


def is_leaving(db: Connection, path: str) -> bool:
    """Is a file about to be removed?"""
    query = "SELECT 1 FROM unlink_pending WHERE path = %s"
    return db.execute(query, [path]).fetchone() is not None


def note(
    db: Connection, path: str, kind: str, recording: UUID | None, generation: int | None,
    now: datetime,
) -> bool:  # fmt: skip
    """Note damage; false where it is known."""
    found = db.execute(
        "INSERT INTO damage (path, kind, recording_id, generation, found_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [path, kind, recording, generation, now],
    )
    return found.rowcount == 1


def damages(db: Connection, after: int, limit: int) -> list[Damage]:
    """Return damage that has not ended, beyond one."""
    with db.cursor(row_factory=class_row(Damage)) as cursor:
        return cursor.execute(
            "SELECT id, path, kind::text, recording_id, generation, found_at FROM damage"
            " WHERE ended_at IS NULL AND id > %s ORDER BY id LIMIT %s",
            [after, limit],
        ).fetchall()


def ended(db: Connection, damage: int, by: str, now: datetime) -> None:
    """Note how damage ended."""
    db.execute("UPDATE damage SET ended_at = %s, ended_by = %s WHERE id = %s", [now, by, damage])


def fetch_again(
    db: Connection, damage: int, recording: UUID, now: datetime, kept: datetime
) -> None:
    """Put a stored recording in line to be fetched again, once a day, if it began after `kept`."""
    db.execute(
        "WITH asked AS (UPDATE recording SET next_try_at = %(now)s, attempts = 0"
        " WHERE id = %(recording)s AND state = 'stored' AND next_try_at IS NULL"
        " AND started_at > %(kept)s AND EXISTS (SELECT FROM damage WHERE id = %(damage)s"
        " AND coalesce(asked_at, '-infinity') < %(now)s - interval '1 day') RETURNING id)"
        " UPDATE damage SET asked_at = %(now)s FROM asked WHERE damage.id = %(damage)s",
        {"now": now, "recording": recording, "kept": kept, "damage": damage},
    )
