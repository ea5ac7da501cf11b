"""SQL: dead letters and disks."""

from datetime import datetime

from common.db import Connection


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
        "used": size - free,
    }  # fmt: skip
    db.execute(
        "INSERT INTO disk VALUES (%(volume)s, %(directory)s, %(size)s, %(free)s, %(now)s)"
        " ON CONFLICT (volume) DO UPDATE SET directory = excluded.directory, size = excluded.size,"
        " free = excluded.free, seen_at = excluded.seen_at",
        arguments,
    )
    db.execute(
        "INSERT INTO disk_sample VALUES (%(volume)s, (%(now)s AT TIME ZONE 'UTC')::date, %(used)s,"
        " %(size)s) ON CONFLICT (volume, day) DO UPDATE SET used = excluded.used,"
        " size = excluded.size",
        arguments,
    )


def forget_disk(db: Connection, volume: str) -> None:
    """Forget a file system that is no longer there, but not its history."""
    db.execute("DELETE FROM disk WHERE volume = %s", [volume])


def thin(db: Connection, now: datetime, days: int) -> None:
    """Delete samples older than so many days."""
    db.execute(
        "DELETE FROM disk_sample WHERE day < (%s AT TIME ZONE 'UTC')::date - %s", [now, days]
    )
