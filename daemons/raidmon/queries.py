"""SQL of raidmon."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from common.db import Connection
from daemons.raidmon.arrays import Array


def note(db: Connection, arrays: Sequence[Array], now: datetime) -> None:
    """Note how the arrays are; what was an array and is not there is missing."""
    for array in arrays:
        db.execute(
            "INSERT INTO raid_array (uuid, name, level, state, disks, degraded, is_read_only,"
            " action, percent, minutes_left, seen_at) VALUES (%(uuid)s, %(name)s, %(level)s,"
            " %(state)s, %(disks)s, %(degraded)s, %(is_read_only)s, %(action)s, %(percent)s,"
            " %(minutes_left)s, %(now)s) ON CONFLICT (uuid) DO UPDATE SET name = excluded.name,"
            " level = excluded.level, state = excluded.state, disks = excluded.disks,"
            " degraded = excluded.degraded, is_read_only = excluded.is_read_only,"
            " action = excluded.action, percent = excluded.percent,"
            " minutes_left = excluded.minutes_left, seen_at = excluded.seen_at",
            {**asdict(array), "now": now},
        )
        db.execute("DELETE FROM raid_member WHERE uuid = %s", [array.uuid])
        for position, one in enumerate(array.members):
            db.execute(
                "INSERT INTO raid_member VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [array.uuid, position, one.disk, one.slot, one.is_ok, one.is_removable, one.role],
            )
    db.execute(
        "UPDATE raid_array SET state = 'missing', action = NULL, percent = NULL,"
        " minutes_left = NULL WHERE uuid <> ALL(%s::text[])",
        [[array.uuid for array in arrays]],
    )
