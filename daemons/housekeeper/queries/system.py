"""SQL: dead letters, disks, and what has become old."""

from datetime import datetime, timedelta

from common import forecast
from common.db import Connection
from common.upgrade import Run

LOW, WELL = 0.10, 0.12  # free below the one a disk is low, from the other on it is not


def note_dead_letter(
    db: Connection,
    message_id: str,
    topic: str,
    body: str,
    queue: str,
    reason: str,
    died_at: datetime,
) -> None:
    """Insert a dead letter; one that is known already changes nothing."""
    db.execute(
        "INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [message_id, topic, body, queue, reason, died_at],
    )


def note_disk(
    db: Connection, volume: str, directory: str, size: int, free: int, now: datetime
) -> None:
    """Note how full a file system is now, and as the last known of this day."""
    arguments = {
        "volume": volume, "directory": directory, "size": size, "free": free, "now": now,
        "used": size - free, "low": LOW, "well": WELL,
    }  # fmt: skip
    db.execute(
        "INSERT INTO disk_sample VALUES (%(volume)s, (%(now)s AT TIME ZONE 'UTC')::date, %(used)s,"
        " %(size)s) ON CONFLICT (volume, day) DO UPDATE SET used = excluded.used,"
        " size = excluded.size",
        arguments,
    )
    samples = db.execute(
        "SELECT day, used FROM disk_sample WHERE volume = %(volume)s"
        " AND day > (%(now)s AT TIME ZONE 'UTC')::date - %(days)s ORDER BY day",
        {**arguments, "days": forecast.DAYS},
    ).fetchall()
    db.execute(
        "INSERT INTO disk AS d (volume, directory, size, free, seen_at, is_low, full_on)"
        " VALUES (%(volume)s, %(directory)s, %(size)s, %(free)s, %(now)s,"
        " %(free)s < %(low)s * %(size)s, %(full_on)s)"
        " ON CONFLICT (volume) DO UPDATE SET directory = excluded.directory, size = excluded.size,"
        " free = excluded.free, seen_at = excluded.seen_at, full_on = excluded.full_on,"
        " is_low = %(free)s < (CASE WHEN d.is_low THEN %(well)s ELSE %(low)s END) * %(size)s",
        {**arguments, "full_on": forecast.full_on(samples, size)},
    )


def forget_disk(db: Connection, volume: str) -> None:
    """Forget a file system that is no longer there, but not its history."""
    db.execute("DELETE FROM disk WHERE volume = %s", [volume])


def thin(db: Connection, now: datetime, days: int) -> None:
    """Delete samples older than so many days."""
    db.execute(
        "DELETE FROM disk_sample WHERE day < (%s AT TIME ZONE 'UTC')::date - %s", [now, days]
    )


def note_upgrade(
    db: Connection, installed: str | None, candidate: str | None, error: str | None, now: datetime
) -> None:
    """Note the installed version, None from a checkout, and a newer one, None: there is none; or
    why that is not known.
    """
    db.execute(
        "INSERT INTO upgrade (checked_at, installed, candidate, error) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (single) DO UPDATE SET checked_at = excluded.checked_at,"
        " installed = excluded.installed, candidate = excluded.candidate, error = excluded.error",
        [now, installed, candidate, error],
    )


def note_upgrade_run(db: Connection, run: Run) -> bool:
    """Note an upgrade that is over; false where it is known already."""
    return bool(
        db.execute(
            "INSERT INTO upgrade_run (id, asked_by, before_version, after_version, started_at,"
            " finished_at, outcome, text) VALUES (%(id)s, %(by)s, %(before)s, %(after)s,"
            " %(started_at)s, %(finished_at)s, %(outcome)s, %(text)s) ON CONFLICT DO NOTHING",
            vars(run),
        ).rowcount
    )


OLD = (  # what may be forgotten, and after how many days
    ("outbox", "sent_at", 30),
    ("inbox", "handled_at", 30),
    ("command", "asked_at", 30),
    ("dead_letter", "settled_at", 180),
)


def tidy(db: Connection, now: datetime, limit: int) -> int:
    """Delete rows that nobody needs any more, of each kind up to `limit`; return how many."""
    deleted = 0
    for table, column, days in OLD:
        deleted += db.execute(
            f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} WHERE {column} < %s"
            " LIMIT %s)",
            [now - timedelta(days=days), limit],
        ).rowcount
    return deleted
