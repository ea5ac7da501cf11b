"""The recordings of one transaction: fetched one by one, durable and committed together.

The order is bytes, fsync, rename, fsync of the directory, rows. A recording that fails keeps its
reason and the time of its next try; the others of the batch are not held up by it.
"""

import errno
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from common.daemon import Life
from common.db import Connection
from common.errors import (
    BadMedia,
    NoPermission,
    NotAvailable,
    PbxError,
    TryLater,
    Unreachable,
    WrongToken,
)
from common.pbx import Connector
from common.store import Store
from daemons.archiver import queries
from daemons.archiver.fetch import Fetched, Growing, fetch

log = logging.getLogger(__name__)

PbxDown = (Unreachable, WrongToken, TryLater)  # errors that concern all of a PBX
LONGEST_PAUSE = 3600  # seconds between two attempts at a recording
FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_FULL = "the archive's disk is full: the recording waits on the PBX until there is room"


class Batch:
    """The recordings of one transaction: fetched one by one, durable and committed together."""

    def __init__(
        self,
        db: Connection,
        store: Store,
        instance: int,
        retry_seconds: int,
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._store = store
        self._instance = instance
        self._retry_seconds = retry_seconds
        self._now = now
        self._fetched: list[Fetched] = []
        self._tallies: dict[tuple[int, int], queries.Tally] = {}
        self.disk_full = False

    def fetch(
        self,
        connector: Connector,
        source: queries.Pbx,
        claim: queries.Claim,
        directory: Path,
        life: Life,
    ) -> int:
        """Fetch one recording or note why not, and return the bytes that came.

        Raises those PbxErrors that concern the whole PBX.
        """
        old = queries.previous(self._db, claim.id) if claim.state == "stored" else None
        generation = old.generation + 1 if old else 0
        try:
            fetched = fetch(connector, source.uid, claim, generation, directory, life)
        except PbxDown:
            raise
        except NotAvailable as error:
            if _still_listed(connector, claim):
                self._wait(claim, "not_available", error)
            else:
                self._give_up(claim, generation, error)
        except Growing as error:
            self._wait(claim, "growing", error, error.size)
        except BadMedia as error:
            self._wait(claim, "bad_media", error)
        except NoPermission as error:
            self._wait(claim, "not_available", error)
        except PbxError as error:
            self._wait(claim, "transfer", error)
        except OSError as error:
            self._disk_error(claim, error)
        else:
            same = old is not None and old.audio_sha256 == fetched.stored.audio_sha256
            if same and not queries.is_damaged(self._db, claim.id):
                self._same(fetched)
            else:
                self._fetched.append(fetched)
            return fetched.stored.audio_size
        return 0

    def leave(self, claim: queries.Claim) -> None:
        """Leave a recording to an archiver that had it before us and has not ended yet."""
        self._wait(claim, "transfer", Exception("another archiver has not let go of it yet"))

    def commit(self) -> None:
        """Make the files durable, then write their rows."""
        placed = self._durable([fetched for fetched in self._fetched if self._place(fetched)])
        for fetched in placed:
            if fetched.claim.state == "stored":
                self._replace(fetched)
            else:
                self._count(fetched, calls=1, grown=fetched.stored.file_size)
        if placed:
            queries.store(self._db, [fetched.stored for fetched in placed])
        queries.tally(self._db, self._instance, self._now(), list(self._tallies.values()))

    def _durable(self, placed: list[Fetched]) -> list[Fetched]:
        """Return those whose names are now durable in their directories."""
        failed: dict[Path, OSError] = {}
        for directory in {self._path(fetched).parent for fetched in placed}:
            try:
                self._store.sync(directory)
            except OSError as error:
                failed[directory] = error
        for fetched in placed:
            if failure := failed.get(self._path(fetched).parent):
                self._disk_error(fetched.claim, failure)
        return [fetched for fetched in placed if self._path(fetched).parent not in failed]

    def _tally(self, claim: queries.Claim) -> queries.Tally:
        key = (claim.poll_id, claim.company_id)
        return self._tallies.setdefault(key, queries.Tally(*key))

    def _count(self, fetched: Fetched, calls: int = 0, grown: int = 0) -> None:
        tally = self._tally(fetched.claim)
        tally.stored += 1
        tally.bytes += fetched.stored.audio_size
        tally.new_calls += calls
        tally.grown_bytes += grown

    def _path(self, fetched: Fetched) -> Path:
        claim, stored = fetched.claim, fetched.stored
        return self._store.path(claim.company_id, claim.started_at, claim.id, stored.generation)

    def _place(self, fetched: Fetched) -> bool:
        try:
            fetched.incoming.sync()
            self._store.place(fetched.incoming, self._path(fetched))
        except OSError as error:
            fetched.incoming.discard()
            self._disk_error(fetched.claim, error)
            return False
        return True

    def _same(self, fetched: Fetched) -> None:
        """Keep the stored file: what the PBX sends now is the same audio."""
        fetched.incoming.discard()
        self._store.remove(self._path(fetched))  # a killed run may have placed it there
        queries.settle(self._db, [fetched.claim.id])
        self._count(fetched)

    def _replace(self, fetched: Fetched) -> None:
        """Let the new file take the place of the old one, which is removed after the commit.

        A name is never used again, so a removal that comes late can't hit another file.
        """
        claim, new = fetched.claim, fetched.stored
        old = queries.previous(self._db, claim.id)
        assert old is not None
        path = self._store.path(claim.company_id, claim.started_at, claim.id, old.generation)
        queries.unlink_later(self._db, str(path.relative_to(self._store.root)))
        queries.replaced(self._db, claim.id, old, new)
        self._count(fetched, grown=new.file_size - old.file_size)
        log.info("the PBX has another version: stored in its place", extra=_extra(claim))

    def _wait(
        self, claim: queries.Claim, reason: str, error: Exception, seen: int | None = None
    ) -> None:
        pause = min(LONGEST_PAUSE, self._retry_seconds * 2 ** min(claim.attempts, 12))
        until = self._now() + timedelta(seconds=pause)
        queries.wait(self._db, claim.id, reason, str(error), until, seen)
        self._tally(claim).failed += 1
        if claim.attempts == 0:
            log.warning("a recording waits: %s", error, extra=_extra(claim))

    def _give_up(self, claim: queries.Claim, generation: int, error: PbxError) -> None:
        """Note that the PBX lacks it now; a file that a killed run placed has no key and goes."""
        path = self._store.path(claim.company_id, claim.started_at, claim.id, generation)
        self._store.remove(path)
        queries.give_up(self._db, claim.id, str(error))
        self._tally(claim).failed += 1
        if claim.state == "listed":
            log.error("a recording is gone from the PBX unfetched: %s", error, extra=_extra(claim))

    def _disk_error(self, claim: queries.Claim, error: OSError) -> None:
        if error.errno in FULL:
            self.disk_full = True
            self._wait(claim, "disk_full", Exception(DISK_FULL))
        else:
            log.error("the archive's disk fails: %s", error.strerror, extra=_extra(claim))
            self._wait(
                claim, "disk_error", Exception(f"the archive's disk fails: {error.strerror}")
            )


def _extra(claim: queries.Claim) -> dict[str, object]:
    return {"company": claim.company_id, "recording": claim.id, "poll": claim.poll_id}


def _still_listed(connector: Connector, claim: queries.Claim) -> bool:
    """Does the PBX still list it, or at least not deny that?"""
    try:
        return connector.is_listed(claim.company_name, claim.remote_id, claim.started_at)
    except PbxDown:
        raise
    except PbxError as error:
        log.warning("the PBX does not say whether it has it: %s", error, extra=_extra(claim))
        return True
