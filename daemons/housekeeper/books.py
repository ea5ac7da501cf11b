"""The books: every day, what the PBXs listed is compared with what is stored and what is explained;
and rows that nobody needs any more go.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.purge import latest
from daemons.housekeeper.queries import completeness, system

DAYS = 31  # a PBX keeps its recordings for 21
BATCH = 5000


class Books:
    """Counts a company in each turn, once a day."""

    def __init__(
        self, db: Connection, now: Callable[[], datetime], at: time, zone: ZoneInfo
    ) -> None:
        self._db = db
        self._now = now
        self._at = at
        self._zone = zone
        self._left: list[int] = []
        self._balanced: datetime | None = completeness.last(db)

    def turn(self, life: Life) -> bool:
        """Count a company, and say whether there are more."""
        now = self._now()
        due = latest(now, self._at, self._zone)
        if not self._left and (self._balanced is None or self._balanced < due):
            self._left = completeness.companies(self._db)
            if self._left or self._balanced:
                self._balanced = now
        if self._left:
            life.doing("comparing what is stored with what the PBXs listed")
            since = (now.astimezone(UTC) - timedelta(days=DAYS)).date()
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
