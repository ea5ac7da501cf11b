"""The scrub: every stored file is read again and compared with the hash that it was stored with.

It goes round in the order of the recordings' ids, so the one that was read longest ago is next, and
what was just stored comes last. The pace is that of one round in a set number of days.
"""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import BinaryIO
from uuid import UUID

from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.damage import Damages
from daemons.housekeeper.queries import inspections
from daemons.housekeeper.queries.inspections import Inspection, Stored

PIECE = 1 << 20
LEAST = 1 << 20  # bytes a second
BURST = 16 << 20  # bytes in a turn
BATCH = 100
AGAIN = timedelta(days=7)  # a round that took less long is followed by a pause


class Scrub:
    """Reads the archive, a few megabytes in each turn."""

    def __init__(
        self, db: Connection, damages: Damages, now: Callable[[], datetime], days: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._db = db
        self._damages = damages
        self._now = now
        self._days = days
        self._clock = clock
        self._budget, self._pace, self._filled = 0.0, 0.0, clock()
        self._coming: list[Stored] = []
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()

    def turn(self, life: Life) -> bool:
        """Read as much as the pace allows."""
        now = self._clock()
        self._budget = min(BURST, self._budget + (now - self._filled) * self._pace)
        self._filled = now
        round_ = self._round()
        if round_ is None or (self._pace and self._budget < PIECE) or not self._damages.is_there():
            return False
        if not self._pace:
            self._pace = max(LEAST, inspections.stored_bytes(self._db) / (self._days * 86400))
            self._budget = max(self._budget, PIECE)
        life.doing("checking stored recordings")
        if not self._coming:
            place = UUID(round_.place) if round_.place else UUID(int=0)
            self._coming = inspections.after(self._db, place, BATCH)
            self._pace = 0.0  # the archive may have grown
        if not self._coming:
            inspections.end(self._db, round_.id, self._now())
            return False
        self._read(round_, self._coming[0])
        return self._budget >= PIECE

    def _round(self) -> Inspection | None:
        """Return the round that runs, a new one where it is time."""
        last = inspections.last(self._db, "scrub")
        if last and last.finished_at is None:
            return last
        now = self._now()
        if last and now - last.started_at < AGAIN:
            return None
        inspections.begin(self._db, "scrub", now)
        self._coming = []
        return inspections.last(self._db, "scrub")

    def _read(self, round_: Inspection, stored: Stored) -> None:
        """Read on in a file, and judge it at its end."""
        kind = None
        try:
            if self._file is None:
                self._hash = hashlib.sha256()
                self._file = self._damages.store.open(self._damages.path(stored))
            size = os.fstat(self._file.fileno()).st_size
            while self._budget >= PIECE:
                piece = self._file.read(PIECE)
                self._budget -= max(len(piece), PIECE // 64)  # opening a file costs too
                self._hash.update(piece)
                if len(piece) < PIECE and self._file.tell() >= size:
                    break
            else:
                return
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if size != stored.file_size or self._hash.digest() != stored.file_sha256:
                kind = "mismatched"
        except FileNotFoundError:
            kind = "missing"
        except OSError:
            kind = "unreadable"
        self._close()
        found = kind is not None and self._damages.note(kind, stored)
        self._coming.pop(0)
        size = 0 if kind in ("missing", "unreadable") else stored.file_size
        inspections.advance(self._db, round_.id, str(stored.id), 1, size, int(found))

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
