"""How full the disks are: looked at every minute, kept for every day."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.queries import system

EVERY = timedelta(minutes=1)
KEPT_DAYS = 730


class Disks:
    """Measures the file systems of the archive, the database and the backup."""

    def __init__(
        self,
        audio: Path,
        database: Path,
        backup: Path,
        db: Connection,
        now: Callable[[], datetime],
        is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._places = {"audio": audio, "database": database}
        self._backup = backup
        self._db = db
        self._now = now
        self._is_there = is_there  # the archive, and not an empty directory in its place
        self._looked: datetime | None = None

    def turn(self, _life: Life) -> bool:
        """Look, where a minute has passed."""
        now = self._now()
        if self._looked is not None and timedelta(0) <= now - self._looked < EVERY:
            return False
        self._looked = now
        mounted = {"backup": self._backup} if os.path.ismount(self._backup) else {}  # noqa: PTH121
        for volume, place in (self._places | mounted).items():
            try:
                status: os.statvfs_result | None = os.statvfs(place)
            except OSError:
                status = None
            if status is None or (volume == "audio" and not self._is_there()):
                system.forget_disk(self._db, volume)  # whoever misses it says so
                continue
            size, free = (blocks * status.f_frsize for blocks in (status.f_blocks, status.f_bavail))
            if size:
                system.note_disk(self._db, volume, str(place), size, free, now)
        if not mounted:
            system.forget_disk(self._db, "backup")
        system.thin(self._db, now, KEPT_DAYS)
        return False
