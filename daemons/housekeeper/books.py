"""The books: every day, what the PBXs listed is compared with what is stored and what is explained,
and every few minutes anew where something was open; rows that nobody needs any more go.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from common.daemon import Life
from common.db import Connection
from common.zone import latest
from daemons.housekeeper.queries import completeness, system

DAYS = 31  # a PBX keeps its recordings for 21
OFTEN = timedelta(minutes=5)
BATCH = 5000


class Books:
    """Counts a company in each turn."""

    def __init__(
        self, db: Connection, now: Callable[[], datetime], at: time, zone: ZoneInfo
    ) -> None:
        self._db = db
        self._now = now
        self._at = at
        self._zone = zone
        self._left: list[int] = []
        self._looked: datetime | None = None
        self._all = completeness.last(db)  # when all companies were counted

    def turn(self, life: Life) -> bool:
        """Count a company, and say whether there are more."""
        now = self._now()
        since = (now.astimezone(UTC) - timedelta(days=DAYS)).date()
        if not self._left and (self._looked is None or abs(now - self._looked) >= OFTEN):
            self._looked = now
            if self._all is None or self._all < latest(now, self._at, self._zone):
                self._all = now
                self._left = completeness.companies(self._db)
            else:
                self._left = completeness.unsettled(self._db, since)
        if self._left:
            life.doing("comparing what is stored with what the PBXs listed")
            completeness.count(self._db, self._left.pop(0), since, now)
        return bool(self._left)


class Tidy:
    """Deletes old rows of the tables through which daemons talk."""

    def __init__(self, db: Connection, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._next: datetime | None = None

    def turn(self, life: Life) -> bool:
        """Delete a batch, every hour."""
        now = self._now()
        if self._next is not None and timedelta(0) < self._next - now <= timedelta(hours=1):
            return False
        life.doing("tidying up")
        more = system.tidy(self._db, now, BATCH) >= BATCH
        self._next = None if more else now + timedelta(hours=1)
        return more
