"""SQL of backupd: how far a target has got, in transactions of the database."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.db import Connection
from daemons.backupd.queries.daily import Day


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


def saw(db: Connection, to: UUID, seen: str, taken: datetime) -> None:
    """Note which transactions the newest catalogue of a target saw, and when."""
    db.execute(
        "UPDATE backup_progress SET snapshot = %s, taken_at = %s WHERE target = %s",
        [seen, taken, to],
    )
