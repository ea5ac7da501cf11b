"""SQL of backupd."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection

FETCHED = 10_000  # rows at a time


@dataclass(frozen=True)
class Saved:
    """The target that is set up."""

    kind: str
    host: str
    port: int
    path: str
    username: str
    password_sealed: bytes | None
    host_key: str
    target: UUID
    rate_kb: int | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None


def target(db: Connection) -> Saved | None:
    """Return the target; None: backups are switched off."""
    with db.cursor(row_factory=class_row(Saved)) as cursor:
        return cursor.execute(
            "SELECT kind::text, host, port, path, username, password_sealed, host_key, target,"
            " rate_kb, quiet_from, quiet_until FROM backup_target"
        ).fetchone()


def box(db: Connection) -> UUID:
    """Return the identity of this box."""
    row = db.execute("SELECT id FROM box").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def stored_bytes(db: Connection) -> int:
    """Return how many bytes are stored."""
    row = db.execute("SELECT coalesce(sum(bytes), 0)::bigint FROM company_usage").fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True)
class Run:
    """A backup."""

    id: int
    asked_by: str
    state: str
    error: str | None


def last(db: Connection) -> Run | None:
    """Return the last backup, which may be running."""
    with db.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            "SELECT id, asked_by, state::text, error FROM backup_run ORDER BY id DESC LIMIT 1"
        ).fetchone()


def last_start(db: Connection, of: UUID) -> datetime | None:
    """Return when the last nightly backup to a target began, or one that did not fail."""
    row = db.execute(
        "SELECT max(started_at) FROM backup_run WHERE target = %s"
        " AND (asked_by = 'backupd' OR state = 'finished')",
        [of],
    ).fetchone()
    return row[0] if row else None


def failures(db: Connection, of: UUID, since: datetime) -> tuple[int, datetime | None]:
    """Return how many backups to a target failed in a row since an instant, and when the last of
    them ended.
    """
    row = db.execute(
        "SELECT count(*), max(finished_at) FROM backup_run WHERE target = %(of)s"
        " AND state = 'failed' AND started_at >= %(since)s AND id > coalesce((SELECT max(id)"
        " FROM backup_run WHERE target = %(of)s AND state <> 'failed'), 0)",
        {"of": of, "since": since},
    ).fetchone()
    return (int(row[0]), row[1]) if row else (0, None)


def begin(db: Connection, asked_by: str, to: UUID, now: datetime) -> int:
    """Insert a backup and return its id."""
    row = db.execute(
        "INSERT INTO backup_run (asked_by, target, started_at) VALUES (%s, %s, %s) RETURNING id",
        [asked_by, to, now],
    ).fetchone()
    assert row is not None
    return int(row[0])


def advance(db: Connection, run: int, phase: str, done: int, total: int) -> str | None:
    """Note how far a backup is; return who wants it cancelled, if anybody does."""
    row = db.execute(
        "UPDATE backup_run SET phase = %s, files_done = %s, files_total = %s WHERE id = %s"
        " RETURNING cancel_by",
        [phase, done, total, run],
    ).fetchone()
    return row[0] if row else None


def end(
    db: Connection, run: int, state: str, now: datetime, *, error: str | None = None,
    statistics: Mapping[str, int] | None = None, catalogue: str | None = None,
) -> None:  # fmt: skip
    """Note how a backup ended."""
    db.execute(
        "UPDATE backup_run SET state = %s, phase = '', finished_at = %s, error = %s,"
        " statistics = %s, catalogue = %s WHERE id = %s AND state = 'running'",
        [state, now, error, json.dumps(dict(statistics or {})), catalogue, run],
    )


def copied_upto(db: Connection, of: UUID) -> str:
    """Return the first transaction whose files a target may lack, as text."""
    row = db.execute("SELECT copied_upto::text FROM backup_progress WHERE target = %s", [of])
    found = row.fetchone()
    return str(found[0]) if found else "0"


def copied(db: Connection, to: UUID, upto: str) -> None:
    """Note what a target has."""
    db.execute(
        "INSERT INTO backup_progress VALUES (%s, %s::xid8) ON CONFLICT (target)"
        " DO UPDATE SET copied_upto = excluded.copied_upto",
        [to, upto],
    )


def horizon(db: Connection) -> str:
    """Return the first transaction that may not be over yet, as text."""
    row = db.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
    assert row is not None
    return str(row[0])


def seen(db: Connection) -> str:
    """Return which transactions the open transaction sees, as text."""
    row = db.execute("SELECT pg_current_snapshot()::text").fetchone()
    assert row is not None
    return str(row[0])


def snapshot(db: Connection) -> str:
    """Export the snapshot of the open transaction, and return its name."""
    row = db.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    return str(row[0])


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


def finished(
    db: Connection, to: UUID, upto: str, days: Sequence[Day], compared: datetime | None
) -> None:  # fmt: skip
    """Note what the newest complete catalogue of a target has, and forget what changed before it.

    What other targets have is out of date from now on.
    """
    with db.transaction():
        copied(db, to, upto)
        db.execute("DELETE FROM backup_rows WHERE target <> %s OR day <> ALL(%s)",
                   [to, [one.day for one in days]])  # fmt: skip
        with db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO backup_rows VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (target, day)"
                " DO UPDATE SET sha256 = excluded.sha256, content = excluded.content,"
                " recordings = excluded.recordings, bytes = excluded.bytes"
                " WHERE backup_rows.sha256 <> excluded.sha256",
                [(to, *vars(one).values()) for one in days],
            )
        db.execute("DELETE FROM backup_changed WHERE written_by < %s::xid8", [upto])
        if compared is not None:
            db.execute(
                "UPDATE backup_progress SET compared_at = %s WHERE target = %s", [compared, to]
            )


def compared_at(db: Connection, of: UUID) -> datetime | None:
    """Return when a target was last compared with this box as a whole."""
    row = db.execute("SELECT compared_at FROM backup_progress WHERE target = %s", [of]).fetchone()
    return row[0] if row else None


def compare_again(db: Connection, of: UUID) -> None:
    """Have the next backup compare the whole target."""
    db.execute("UPDATE backup_progress SET compared_at = NULL WHERE target = %s", [of])


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


def forget_changes(db: Connection) -> None:
    """Forget which days changed, and what targets have: whoever gets one gets all of it."""
    for table in ("backup_changed", "backup_rows"):
        db.execute(f"DELETE FROM {table}")


def has_catalogue(db: Connection, at: UUID) -> bool:
    """Has a backup to a target ever finished?"""
    query = "SELECT 1 FROM backup_run WHERE target = %s AND state = 'finished' LIMIT 1"
    return db.execute(query, [at]).fetchone() is not None


def last_drill(db: Connection, of: UUID) -> datetime | None:
    """Return when the last restore drill of a target began."""
    query = "SELECT max(started_at) FROM restore_drill WHERE target = %s"
    row = db.execute(query, [of]).fetchone()
    return row[0] if row else None


def drilled(
    db: Connection, of: UUID, started: datetime, now: datetime, catalogue: str, recordings: int,
    sampled: int, error: str | None,
) -> None:  # fmt: skip
    """Note how a restore drill went."""
    db.execute(
        "INSERT INTO restore_drill (target, started_at, finished_at, catalogue, recordings,"
        " sampled, error) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [of, started, now, catalogue, recordings, sampled, error],
    )


def deleted(db: Connection, before: datetime, limit: int) -> list[str]:
    """Return files that were deleted before an instant."""
    query = "SELECT path FROM backup_delete WHERE deleted_at < %s ORDER BY deleted_at LIMIT %s"
    return [str(row[0]) for row in db.execute(query, [before, limit])]


def forget_deleted(db: Connection, paths: Sequence[str]) -> None:
    """Note that files have left the target too."""
    db.execute("DELETE FROM backup_delete WHERE path = ANY(%s)", [list(paths)])


def lost(db: Connection, of: UUID, listed: int) -> int:
    """Return how many of the recordings that the newest catalogue of a target listed are gone,
    and were not deleted by policy.

    What was deleted in the minute before the catalogue may be counted as deleted after it.
    """
    row = db.execute(
        "SELECT %(listed)s - (SELECT count(*) FROM recording_audio)"
        " + (SELECT count(*) FROM recording_audio WHERE generation = 0 AND written_by >="
        " pg_snapshot_xmin(p.snapshot::pg_snapshot) AND NOT pg_visible_in_snapshot(written_by,"
        " p.snapshot::pg_snapshot)) - (SELECT count(*) FROM tombstone WHERE deleted_at >="
        " p.taken_at - interval '1 minute') FROM backup_progress p WHERE target = %(of)s"
        " AND p.snapshot IS NOT NULL",
        {"listed": listed, "of": of},
    ).fetchone()
    return max(0, int(row[0])) if row else 0


def saw(db: Connection, to: UUID, seen: str, taken: datetime) -> None:
    """Note which transactions the newest catalogue of a target saw, and when."""
    db.execute(
        "UPDATE backup_progress SET snapshot = %s, taken_at = %s WHERE target = %s",
        [seen, taken, to],
    )


@dataclass(frozen=True)
class Held:
    """What stopped backups."""

    lost_rows: int
    lost_files: int
    is_confirmed: bool


def brake(db: Connection) -> Held | None:
    """Return what stopped backups, or would have if it were not confirmed."""
    with db.cursor(row_factory=class_row(Held)) as cursor:
        return cursor.execute(
            "SELECT lost_rows, lost_files, confirmed_at IS NOT NULL AS is_confirmed"
            " FROM backup_brake"
        ).fetchone()


def braked(db: Connection, now: datetime, recordings: int, rows: int, files: int) -> None:
    """Note what stops backups; what was confirmed before was less."""
    db.execute(
        "INSERT INTO backup_brake (found_at, recordings, lost_rows, lost_files)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (single) DO UPDATE SET found_at ="
        " excluded.found_at, recordings = excluded.recordings, lost_rows = excluded.lost_rows,"
        " lost_files = excluded.lost_files, confirmed_at = NULL, confirmed_by = NULL",
        [now, recordings, rows, files],
    )


def forgive_rows(db: Connection) -> None:
    """Note that a catalogue was written without the rows that were lost."""
    db.execute("UPDATE backup_brake SET lost_rows = 0")


def release(db: Connection) -> None:
    """Note that nothing is lost any more."""
    db.execute("DELETE FROM backup_brake")
