"""SQL of backupd: the files of recordings, stored, sampled, damaged and deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection

FETCHED = 10_000  # rows at a time


@dataclass(frozen=True)
class File:
    """What a file is called after."""

    company_id: int
    started_at: datetime
    id: UUID
    generation: int


def files(db: Connection, since: str) -> Iterator[File]:
    """Yield the stored files that were written by a transaction or a later one; inside one."""
    with db.cursor(name="backup_files", row_factory=class_row(File)) as cursor:
        cursor.itersize = FETCHED
        yield from cursor.execute(
            "SELECT r.company_id, r.started_at, r.id, a.generation FROM recording_audio a"
            " JOIN recording r ON r.id = a.recording_id WHERE a.written_by >= %s::xid8",
            [since],
        )


@dataclass(frozen=True)
class Sampled(File):
    """A file that is read back."""

    file_sha256: bytes


def sample(db: Connection, upto: str, count: int) -> list[Sampled]:
    """Return stored files at random, of those that were written before a transaction."""
    row = db.execute(
        "SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = 'recording_audio'::regclass"
    ).fetchone()
    assert row is not None
    share = min(100.0, 100.0 * count * 200 / float(row[0]))  # some pages, however many there are
    with db.cursor(row_factory=class_row(Sampled)) as cursor:
        return cursor.execute(
            "SELECT r.company_id, r.started_at, r.id, a.generation, a.file_sha256"
            " FROM recording_audio a TABLESAMPLE SYSTEM (%s) JOIN recording r"
            " ON r.id = a.recording_id WHERE a.written_by < %s::xid8 ORDER BY random() LIMIT %s",
            [share, upto, count],
        ).fetchall()


@dataclass(frozen=True)
class Damaged(Sampled):
    """A file of the archive that is damaged, as it was stored."""

    damage: int


def damaged(db: Connection, before: datetime, limit: int) -> list[Damaged]:
    """Return damaged files that were not looked for in the backup since an instant."""
    with db.cursor(row_factory=class_row(Damaged)) as cursor:
        return cursor.execute(
            "SELECT r.company_id, r.started_at, r.id, a.generation, a.file_sha256, d.id AS damage"
            " FROM damage d JOIN recording r ON r.id = d.recording_id JOIN recording_audio a"
            " ON a.recording_id = r.id AND a.generation = d.generation WHERE d.ended_at IS NULL"
            " AND coalesce(d.sought_at, '-infinity') < %s ORDER BY d.id LIMIT %s",
            [before, limit],
        ).fetchall()


def sought(db: Connection, damages: Sequence[int], now: datetime) -> None:
    """Note that damaged files were looked for."""
    db.execute("UPDATE damage SET sought_at = %s WHERE id = ANY(%s)", [now, list(damages)])


def counts(db: Connection) -> dict[str, int]:
    """Return how many recordings and bytes are stored, counted one by one."""
    row = db.execute(
        "SELECT count(*), coalesce(sum(file_size), 0)::bigint FROM recording_audio"
    ).fetchone()
    assert row is not None
    return {"recordings": int(row[0]), "bytes": int(row[1])}


def count(db: Connection) -> int:
    """Return how many recordings are stored, counted one by one."""
    row = db.execute("SELECT count(*) FROM recording_audio").fetchone()
    assert row is not None
    return int(row[0])


def stored(db: Connection, ids: Sequence[UUID]) -> list[Sampled]:
    """Return the files of recordings as they were stored."""
    with db.cursor(row_factory=class_row(Sampled)) as cursor:
        return cursor.execute(
            "SELECT r.company_id, r.started_at, r.id, a.generation, a.file_sha256"
            " FROM recording_audio a JOIN recording r ON r.id = a.recording_id"
            " WHERE r.id = ANY(%s)",
            [list(ids)],
        ).fetchall()


def unexplained(db: Connection, ids: Sequence[UUID]) -> int:
    """Count those of the recordings that are stored and not known to be damaged."""
    row = db.execute(
        "SELECT count(*) FROM recording_audio a WHERE a.recording_id = ANY(%s) AND NOT EXISTS"
        " (SELECT FROM damage d WHERE d.recording_id = a.recording_id AND d.ended_at IS NULL)",
        [list(ids)],
    ).fetchone()
    return int(row[0]) if row else 0


def deleted(db: Connection, before: datetime, limit: int) -> list[str]:
    """Return files that were deleted before an instant."""
    query = "SELECT path FROM backup_delete WHERE deleted_at < %s ORDER BY deleted_at LIMIT %s"
    return [str(row[0]) for row in db.execute(query, [before, limit])]


def forget_deleted(db: Connection, paths: Sequence[str]) -> None:
    """Note that files have left the target too."""
    db.execute("DELETE FROM backup_delete WHERE path = ANY(%s)", [list(paths)])
