"""The check for upgrades: which version apt would install, asked daily; nothing is installed."""

import os
import re
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta

from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.queries import system

PACKAGE = "callstash"
DAILY = timedelta(days=1)
SECONDS = 10
_LINE = re.compile(r"^ {2}(Installed|Candidate): (\S+)$", re.MULTILINE)


class Upgrades:
    """Asks apt's lists, which the system refreshes."""

    def __init__(self, db: Connection, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._asked: datetime | None = None

    def turn(self, life: Life) -> bool:
        """Ask, where a day has passed."""
        now = self._now()
        if self._asked is not None and timedelta(0) <= now - self._asked < DAILY:
            return False
        self._asked = now
        life.doing("checking for upgrades")
        installed, candidate = versions(_policy())
        newer = candidate if candidate != installed else None
        system.note_upgrade(self._db, installed, newer if installed else None, now)
        return False


def versions(policy: str) -> tuple[str | None, str | None]:
    """Return the installed version and the one that apt would install, from what `apt-cache policy`
    says in English; None: none.
    """
    found = dict(_LINE.findall(policy))
    return tuple(  # type: ignore[return-value]
        None if found.get(name) in (None, "(none)") else found[name]
        for name in ("Installed", "Candidate")
    )


def _policy() -> str:
    command = ["apt-cache", "policy", PACKAGE]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=True,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):  # not a Debian, or run from a checkout
        return ""
