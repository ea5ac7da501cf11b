"""SQL of backupd: what was lost here and stops backups."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


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
