"""Every SQL statement of the archiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Pbx:
    """A PBX that has recordings to fetch."""

    id: int
    uid: UUID
    kind: str
    url: str
    certificate: str | None
    token_sealed: bytes
    timezone: str
    failures: int


@dataclass(frozen=True)
class Claim:
    """A recording that this archiver fetches now; its row is locked until the transaction ends."""

    id: UUID
    company_id: int
    company_uid: UUID
    company_name: str
    remote_id: str
    poll_id: int
    state: str
    started_at: datetime
    duration: int
    listed_size: int | None
    attempts: int
    seen_size: int | None
    seen_times: int
    key_version: int
    kid: str
    public_key: bytes


@dataclass(frozen=True)
class Stored:
    """What is noted of a recording whose file is in place."""

    id: UUID
    company_id: int
    key_version: int
    generation: int
    ecek: bytes
    file_size: int
    file_sha256: bytes
    audio_size: int
    audio_sha256: bytes
    mime: str
    codec: str
    channels: int
    sample_rate: int
    seconds: float
    data_offset: int
    data_size: int
    peaks: bytes | None


@dataclass(frozen=True)
class Previous:
    """The file that a recording has, before another replaces it."""

    generation: int
    file_size: int
    audio_sha256: bytes


@dataclass
class Tally:
    """What one batch did for one poll and company."""

    poll_id: int
    company_id: int
    stored: int = 0
    failed: int = 0
    bytes: int = 0
    new_calls: int = 0
    grown_bytes: int = 0


def due_pbxs(db: Connection, now: datetime) -> list[Pbx]:
    """Return the active PBXs that have something to fetch and are not in a pause."""
    with db.cursor(row_factory=class_row(Pbx)) as cursor:
        return cursor.execute(
            "SELECT p.id, p.uid, p.kind, p.url, p.certificate, p.token_sealed, p.timezone,"
            " coalesce(c.failures, 0) AS failures"
            " FROM pbx p LEFT JOIN pbx_contact c ON c.pbx_id = p.id"
            " WHERE p.state = 'active' AND (c.retry_at IS NULL OR c.retry_at <= %(now)s)"
            " AND EXISTS (SELECT FROM recording r WHERE r.pbx_id = p.id AND r.next_try_at <="
            " %(now)s)"
            " ORDER BY p.id",
            {"now": now},
        ).fetchall()


def claim(db: Connection, pbx_id: int, now: datetime, limit: int) -> list[Claim]:
    """Lock and return recordings to fetch, those that expire first on the PBX first."""
    with db.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(
            "SELECT r.id, r.company_id, c.uid AS company_uid, c.name AS company_name, r.remote_id,"
            " r.poll_id, r.state::text, r.started_at, r.duration, r.listed_size, r.attempts,"
            " r.seen_size, r.seen_times, k.version AS key_version, k.kid, k.public_key"
            " FROM recording r JOIN company c ON c.id = r.company_id"
            " JOIN company_key k ON k.company_id = c.id AND k.retired_at IS NULL"
            " WHERE r.pbx_id = %s AND r.next_try_at <= %s"
            " ORDER BY r.next_try_at, r.started_at LIMIT %s FOR UPDATE OF r SKIP LOCKED",
            [pbx_id, now, limit],
        ).fetchall()


def confirm(db: Connection) -> None:
    """See that the claimed rows are still locked. Raises OperationalError: the connection is lost.

    Who claims one of them from now on finds its files locked too.
    """
    db.execute("SELECT 1")


def previous(db: Connection, recording: UUID) -> Previous | None:
    """Return the file that a recording has."""
    with db.cursor(row_factory=class_row(Previous)) as cursor:
        return cursor.execute(
            "SELECT generation, file_size, audio_sha256 FROM recording_audio WHERE recording_id ="
            " %s",
            [recording],
        ).fetchone()


_AUDIO = (
    "recording_id, company_id, key_version, generation, ecek, file_size, file_sha256, audio_size,"
    " audio_sha256, mime, codec, channels, sample_rate, seconds, data_offset, data_size, peaks"
)


def store(db: Connection, rows: Sequence[Stored]) -> None:
    """Note that the files of these recordings are in place."""
    columns = [column.strip() for column in _AUDIO.split(",")]
    types = [
        "uuid[]",
        "int[]",
        "int[]",
        "smallint[]",
        "bytea[]",
        "bigint[]",
        "bytea[]",
        "bigint[]",
        "bytea[]",
        "text[]",
        "text[]",
        "smallint[]",
        "int[]",
        "float8[]",
        "int[]",
        "bigint[]",
        "bytea[]",
    ]
    values = [[getattr(row, name) for row in rows] for name in Stored.__dataclass_fields__]
    db.execute(
        f"INSERT INTO recording_audio ({_AUDIO}) SELECT * FROM unnest("
        + ", ".join(f"%s::{kind}" for kind in types)
        + ") ON CONFLICT (recording_id) DO UPDATE SET "
        + ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        + ", written_by = excluded.written_by",
        values,
    )
    settle(db, [row.id for row in rows])


def settle(db: Connection, recordings: Sequence[UUID]) -> None:
    """Note that these recordings are stored and that nothing is left to fetch of them."""
    db.execute(
        "UPDATE recording SET state = 'stored', stored_at = coalesce(stored_at, now()),"
        " next_try_at = NULL, waiting = NULL, last_error = NULL, seen_size = NULL, seen_times = 0,"
        " attempts = attempts + 1 WHERE id = ANY(%s)",
        [list(recordings)],
    )


def wait(
    db: Connection, recording: UUID, reason: str, error: str, until: datetime, seen: int | None
) -> None:
    """Note why a recording was not stored, and when to try again; `seen` is its size if that was
    why.
    """
    db.execute(
        "UPDATE recording SET attempts = attempts + 1, waiting = %(reason)s, last_error ="
        " %(error)s,"
        " next_try_at = %(until)s, seen_size = %(seen)s,"
        " seen_times = CASE WHEN %(seen)s::bigint IS NULL THEN 0"
        " WHEN seen_size = %(seen)s THEN seen_times + 1 ELSE 1 END WHERE id = %(id)s",
        {"reason": reason, "error": error, "until": until, "seen": seen, "id": recording},
    )


def give_up(db: Connection, recording: UUID, error: str) -> None:
    """Note that the PBX no longer has a recording; one that is stored stays so."""
    db.execute(
        "UPDATE recording SET state = CASE WHEN state = 'listed' THEN 'gone' ELSE state END,"
        " next_try_at = NULL, last_error = %s, waiting = NULL, attempts = attempts + 1 WHERE id ="
        " %s",
        [error, recording],
    )


def mark_disk_full(db: Connection, pbx_id: int, now: datetime, error: str) -> None:
    """Show at recordings that are due why they are not fetched, a thousand at a time."""
    db.execute(
        "UPDATE recording SET waiting = 'disk_full', last_error = %s WHERE id IN (SELECT id"
        " FROM recording WHERE pbx_id = %s AND next_try_at <= %s"
        " AND waiting IS DISTINCT FROM 'disk_full' LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        [error, pbx_id, now],
    )


def fetch_waiting(db: Connection, now: datetime) -> None:
    """Have what waits for room fetched now."""
    db.execute(
        "UPDATE recording SET next_try_at = %(now)s WHERE id IN (SELECT id FROM recording"
        " WHERE next_try_at > %(now)s AND waiting = 'disk_full' FOR UPDATE SKIP LOCKED)",
        {"now": now},
    )


def database_room(db: Connection, now: datetime) -> list[int]:
    """Return the bytes that are free on the database's disk, where the housekeeper has just looked;
    else nothing.
    """
    query = "SELECT free FROM disk WHERE volume = 'database' AND seen_at > %s"
    return [int(row[0]) for row in db.execute(query, [now - timedelta(minutes=5)])]


def is_damaged(db: Connection, recording: UUID) -> bool:
    """Is the stored file of a recording not as it was stored?"""
    query = "SELECT 1 FROM damage WHERE recording_id = %s AND ended_at IS NULL"
    return db.execute(query, [recording]).fetchone() is not None


def tally(db: Connection, instance: int, now: datetime, rows: Sequence[Tally]) -> None:
    """Add what a batch did to the counters of this instance."""
    for row in sorted(rows, key=lambda row: (row.poll_id, row.company_id)):
        db.execute(
            "INSERT INTO poll_tally AS t (poll_id, company_id, instance, stored, failed, bytes,"
            " last_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (poll_id, company_id, instance)"
            " DO UPDATE SET stored = t.stored + excluded.stored, failed = t.failed +"
            " excluded.failed,"
            " bytes = t.bytes + excluded.bytes, last_at = excluded.last_at",
            [row.poll_id, row.company_id, instance, row.stored, row.failed, row.bytes, now],
        )
        if row.new_calls or row.grown_bytes:
            db.execute(
                "INSERT INTO company_usage AS u (company_id, instance, calls, bytes)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT (company_id, instance)"
                " DO UPDATE SET calls = u.calls + excluded.calls, bytes = u.bytes + excluded.bytes",
                [row.company_id, instance, row.new_calls, row.grown_bytes],
            )


def pause_pbx(db: Connection, pbx_id: int, until: datetime, failures: int, error: str) -> None:
    """Leave a PBX alone until then."""
    db.execute(
        "INSERT INTO pbx_contact (pbx_id, retry_at, failures, error) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (pbx_id) DO UPDATE SET retry_at = excluded.retry_at,"
        " failures = excluded.failures, error = excluded.error",
        [pbx_id, until, failures, error],
    )


def pbx_answers(db: Connection, pbx_id: int) -> None:
    """End the pause of a PBX."""
    db.execute(
        "UPDATE pbx_contact SET retry_at = NULL, failures = 0, error = NULL"
        " WHERE pbx_id = %s AND failures > 0",
        [pbx_id],
    )


def replaced(db: Connection, recording: UUID, old: Previous, new: Stored) -> None:
    """Write into the audit log that another file took the place of one."""
    db.execute(
        "INSERT INTO audit (actor, action, subject, detail) VALUES ('archiver',"
        " 'recording.replaced',"
        " %s, jsonb_build_object('old_audio_sha256', %s::text, 'new_audio_sha256', %s::text))",
        [f"recording:{recording}", old.audio_sha256.hex(), new.audio_sha256.hex()],
    )


def unlink_later(db: Connection, path: str) -> None:
    """Have a file removed after the open transaction commits."""
    db.execute("INSERT INTO unlink_pending (path) VALUES (%s) ON CONFLICT DO NOTHING", [path])


def unlink_next(db: Connection) -> str | None:
    """Lock and return a file to remove."""
    row = db.execute("SELECT path FROM unlink_pending LIMIT 1 FOR UPDATE SKIP LOCKED").fetchone()
    return str(row[0]) if row else None


def unlinked(db: Connection, path: str) -> None:
    """Note that a file is removed."""
    db.execute("DELETE FROM unlink_pending WHERE path = %s", [path])
