"""The sweep: the names of files against the database, both ways, a day of a company at a time.

A file that should be there and is not is damage, and so is one that belongs to no recording. What
is left of a deleted recording goes.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from uuid import UUID

from common import commands
from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.damage import Damages
from daemons.housekeeper.queries import inspections
from daemons.housekeeper.queries.inspections import Inspection

log = logging.getLogger(__name__)

AGAIN = timedelta(days=7)
SECONDS = 0.5  # of a turn
COMMAND = "sweep.run"


class Sweep:
    """Compares the archive's directories with the database, weekly and on request."""

    def __init__(self, db: Connection, damages: Damages, now: Callable[[], datetime]) -> None:
        self._db = db
        self._damages = damages
        self._now = now

    def turn(self, life: Life) -> bool:
        """Look at some days, and say whether there are more."""
        running = self._begin()
        if running is None:
            return False
        life.doing("comparing files with the database")
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            place = self._next(running.place)
            if place is None:
                files, found = inspections.end(self._db, running.id, self._now())
                log.info("swept the archive", extra={"files": files, "found": found})
                return False
            company, day = place
            name = f"{company}/{day.isoformat()}"
            files, found = self._compare(company, day)
            inspections.advance(self._db, running.id, name, files, 0, found)
            running = Inspection(running.id, running.started_at, None, name)
        return True

    def _begin(self) -> Inspection | None:
        asked = [c for c in commands.waiting(self._db, "housekeeper") if c.kind == COMMAND]
        if not self._damages.is_there():
            for command in asked:
                text = "The archive is not there: is its disk mounted?"
                commands.answer(self._db, command.id, False, text)
            return None
        last, now = inspections.last(self._db, "sweep"), self._now()
        is_running = last is not None and last.finished_at is None
        if not is_running and (asked or last is None or now - last.started_at >= AGAIN):
            inspections.begin(self._db, "sweep", now)
            last, is_running = inspections.last(self._db, "sweep"), True
        for command in asked:
            text = "The files are compared with the database now."
            commands.answer(self._db, command.id, True, text)
        return last if is_running else None

    def _next(self, place: str) -> tuple[int, date] | None:
        """Return the company and day after a place, of those that have files or recordings."""
        company, _, day = place.partition("/")
        after = date.fromisoformat(day) if day else None
        known = set(inspections.companies(self._db))
        for number in sorted(known | set(_numbers(self._damages.store.root))):
            if company and number < int(company):
                continue
            since = after + timedelta(days=1) if after and str(number) == company else date.min
            instant = datetime(max(since.year, 1970), since.month, since.day, tzinfo=UTC)
            days = chain(
                _days(self._damages.store.root / str(number), since),
                filter(None, [inspections.next_day(self._db, number, instant)]),
            )
            if found := min(days, default=None):
                return number, found
        return None

    def _compare(self, company: int, day: date) -> tuple[int, int]:
        """Compare one day of a company; return how many files it has and how much is new damage."""
        root = self._damages.store.root
        directory = root / str(company) / day.strftime("%Y/%m/%d")
        names = set()
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            names = {entry.name for entry in entries}  # before the rows: a new file has one by then
        began = datetime(day.year, day.month, day.day, tzinfo=UTC)
        stored = {self._damages.path(s): s for s in inspections.of_day(self._db, company, began)}
        missing = [s for path, s in stored.items() if path.name not in names and not path.exists()]
        found = sum(self._damages.note("missing", one) for one in missing)
        unknown = {name for name in names if directory / name not in stored}
        return len(names), found + self._unknown(directory.relative_to(root), unknown)

    def _unknown(self, directory: Path, names: set[str]) -> int:
        """Judge files that belong to no stored recording."""
        ids = {name: _recording(name) for name in names}
        states = inspections.states(self._db, [i for i in ids.values() if i])
        found = 0
        for name in sorted(names):
            path, recording = str(directory / name), ids[name]
            state = states.get(recording) if recording else None
            if state == "deleted":
                inspections.unlink_later(self._db, path)
            elif state is None and not inspections.is_leaving(self._db, path):
                found += self._damages.note_untracked(path)
        return found


def _recording(name: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(name[:36]) if name.endswith(".csrec") else None
    return None


def _numbers(directory: Path) -> list[int]:
    """Return the entries of a directory that are numbers."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        return [int(e.name) for e in entries if e.name.isascii() and e.name.isdigit()]
    return []


def _days(directory: Path, since: date) -> list[date]:
    """Return the first day from `since` on of which a company has a directory, as a list."""
    for year in sorted(_numbers(directory)):
        if year < since.year:
            continue
        for month in sorted(_numbers(directory / f"{year:04}")):
            if (year, month) < (since.year, since.month):
                continue
            for day in sorted(_numbers(directory / f"{year:04}/{month:02}")):
                with suppress(ValueError):
                    found = date(year, month, day)
                    if found >= since:
                        return [found]
    return []
