"""raidmon: what is true of the arrays now, in the database. What follows from it others say."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.daemon import Life
from common.db import Connection
from daemons.raidmon import arrays, queries
from daemons.raidmon.arrays import Array

log = logging.getLogger(__name__)

BLOCK, MDSTAT = Path("/sys/block"), Path("/proc/mdstat")


@dataclass(frozen=True)
class Settings:
    """raidmon's part of callstash.toml."""

    database: str
    broker: str


class Raidmon:
    """Reads the arrays when something moved."""

    def __init__(
        self,
        db: Connection,
        has_changed: Callable[[], bool],
        block: Path = BLOCK,
        mdstat: Path = MDSTAT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._has_changed = has_changed
        self._block = block
        self._mdstat = mdstat
        self._now = now
        self._known: dict[str, str] = {}

    def step(self, life: Life) -> bool:
        """Read all arrays, if anything moved, and note how they are."""
        if self._has_changed():
            found = arrays.read(self._block, self._mdstat)
            with self._db.transaction():
                queries.note(self._db, found, self._now())
            self._say(found)
        life.doing(", ".join(f"{name}: {words}" for name, words in self._known.items()) or _NONE)
        return False

    def _say(self, found: list[Array]) -> None:
        now = {array.name: _words(array) for array in found}
        for array in found:
            if self._known.get(array.name) != now[array.name]:
                is_good = array.state == "clean"
                write = log.info if is_good else log.critical
                write("array %s: %s", array.name, now[array.name])
        for name in set(self._known) - set(now):
            log.critical("array %s: gone", name)
        self._known = now


_NONE = "no array of disks is here"
_ACTIONS = {
    "recover": "rebuilding", "resync": "synchronising", "check": "being checked",
    "repair": "being repaired", "reshape": "being reshaped",
}  # fmt: skip


def _words(array: Array) -> str:
    words = array.state
    if array.degraded and array.state != "inactive":
        words += f", {array.degraded} of {array.disks} disks lacking"
    return f"{words}, {_ACTIONS.get(array.action, array.action)}" if array.action else words
