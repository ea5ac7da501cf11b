"""SQL of backupd: the rows of recordings, day by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Day:
    """The file with the rows of a day: what it is, and what is in it."""

    day: date
    sha256: bytes
    content: bytes
    recordings: int
    bytes: int


def days(db: Connection, at: UUID) -> dict[date, Day]:
    """Return the files that the newest catalogue of a target lists."""
    with db.cursor(row_factory=class_row(Day)) as cursor:
        found = cursor.execute(
            "SELECT day, sha256, content, recordings, bytes FROM backup_rows WHERE target = %s"
            " ORDER BY day",
            [at],
        )
        return {one.day: one for one in found}


def changed_days(db: Connection) -> list[date]:
    """Return the days whose rows changed since the last catalogue."""
    return [row[0] for row in db.execute("SELECT DISTINCT day FROM backup_changed ORDER BY day")]


def all_days(db: Connection) -> list[date]:
    """Return the days that have recordings."""
    return [
        row[0]
        for row in db.execute(
            "SELECT (started_at AT TIME ZONE 'UTC')::date AS day FROM recording GROUP BY 1"
            " ORDER BY 1"
        )
    ]


def _bounds(of: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(of, time(), UTC)
    return begin, begin + timedelta(days=1)


def day(db: Connection, of: date) -> tuple[int, int, int]:
    """Return how many recordings a day has, how many of them are stored, and their bytes."""
    row = db.execute(
        "SELECT count(*), count(a.file_size), coalesce(sum(a.file_size), 0)::bigint"
        " FROM recording r LEFT JOIN recording_audio a ON a.recording_id = r.id"
        " WHERE r.started_at >= %s AND r.started_at < %s",
        _bounds(of),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def columns(db: Connection, table: str) -> list[str]:
    """Return the columns of a table that are not worked out from others."""
    return [
        str(row[0])
        for row in db.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            [table],
        )
    ]


def rows_of(db: Connection, table: str, wanted: str, of: date) -> Iterator[bytes]:
    """Yield the rows that belong to the recordings of a day, as COPY writes them."""
    key = "id" if table == "recording" else "recording_id"
    query = (
        f"COPY (SELECT {wanted} FROM {table} WHERE {key} IN (SELECT id FROM recording"
        f" WHERE started_at >= %s AND started_at < %s) ORDER BY {wanted.partition(',')[0]}"
        f"{', user_id' if table == 'recording_owner' else ''}) TO STDOUT"
    )
    with db.cursor() as cursor, cursor.copy(query, _bounds(of)) as copy:
        yield from map(bytes, copy)


def forget_changes(db: Connection) -> None:
    """Forget which days changed, and what targets have: whoever gets one gets all of it."""
    for table in ("backup_changed", "backup_rows"):
        db.execute(f"DELETE FROM {table}")
