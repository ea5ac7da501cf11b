"""Destroys what a company's retired key left behind, when nothing has needed it for long.

A key is needed while a recording's content key is wrapped with it. A backup's catalogue brings its
own copy of each key along, but who looks into an old one, or opens what was handed over before the
key was replaced, may ask this machine: so a key stays for as long as catalogues are kept.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from common import backup
from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.queries import purges, retired_keys

log = logging.getLogger(__name__)

IN_HAND = timedelta(days=1)  # in which an archiver stores what it began with a key
OFTEN = timedelta(hours=1)


class RetiredKeys:
    """Looks every hour, and destroys one key in each turn."""

    def __init__(self, db: Connection, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._looked: datetime | None = None

    def turn(self, life: Life) -> bool:
        """Destroy a key that is due, and say whether there may be more."""
        now = self._now()
        if self._looked is not None and abs(now - self._looked) < OFTEN:
            return False
        life.doing("looking for keys that nothing needs")
        retired_keys.look(self._db, now, now - IN_HAND)
        with self._db.transaction():
            key = retired_keys.lock(self._db, now - backup.CATALOGUES)
            destroyed = key is not None and retired_keys.destroy(self._db, key)
            if key is not None and destroyed:
                detail = {
                    "kid": key.kid, "version": key.version,
                    "retired_at": key.retired_at.isoformat(),
                    "unneeded_since": key.unneeded_at.isoformat(),
                    "in_backups_until": (now + backup.CATALOGUES).date().isoformat(),
                }  # fmt: skip
                purges.note(
                    self._db, "company.destroyed_key", f"company:{key.company_id}",
                    json.dumps(detail),
                )  # fmt: skip
        if key is None:
            self._looked = now
        elif destroyed:
            log.info(
                "a retired key is destroyed", extra={"company": key.company_id, "kid": key.kid}
            )
        return key is not None
