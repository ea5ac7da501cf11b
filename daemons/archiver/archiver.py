"""The archiver: fetches what the poller listed, a small batch in each step, and stores it
encrypted.

The order that makes it durable: bytes, fsync, rename, fsync of the directory, and only then the
rows commit. A recording's row is locked from the claim to the commit, so each is fetched by one
archiver at a time; whatever a crash interrupts is claimed again. One that has lost its connection
and does not know yet is kept apart by the store's Fence. Only public keys are at hand here: what is
written can't be read back.
"""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common import keys, pbx, seal
from common.daemon import Life
from common.db import Connection
from common.messages import RecordingsListed
from common.store import Fence, Store
from daemons.archiver import queries
from daemons.archiver.batch import DISK_FULL, Batch, PbxDown

log = logging.getLogger(__name__)

BATCH = 16  # recordings of one step,
BATCH_BYTES = 64 << 20  # or as many as are in so many bytes,
BATCH_SECONDS = 5.0  # or as come in so many seconds
LONGEST_PBX_PAUSE = 300  # seconds in which a PBX that does not answer is left alone


@dataclass(frozen=True)
class Settings:
    """The archiver's part of callstash.toml."""

    database: str
    broker: str
    archive: Path
    reserve_mb: int = 256  # so much stays free on the disks of the archive and the database
    retry_seconds: int = 60  # pause after the first failed attempt, doubled with each


class Archiver:
    """Handlers and steps of callstash-archiver@N."""

    def __init__(
        self,
        settings: Settings,
        db: Connection,
        instance: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._db = db
        self._instance = instance
        self._now = now
        self._token_key = keys.load_credential("pbx.key")
        self._store = Store(settings.archive)
        self._directory = self._store.incoming(instance)
        self._fence = Fence(settings.archive)
        self._connectors: dict[queries.Pbx, pbx.Connector] = {}
        self._turn = 0
        self._is_full = False
        if left := self._store.clear_incoming(instance):
            log.warning("unfinished files of a killed run were removed", extra={"files": left})

    def close(self) -> None:
        """End the conversations with all PBXs and let go of the archive."""
        for source in list(self._connectors):
            self._drop(source)
        self._fence.close()

    def on_listed(self, message: RecordingsListed) -> None:
        """Take it as a hint to look; the rows say what there is."""
        log.debug("told of %s new recordings", message.new)

    def step(self, life: Life) -> bool:
        """Remove what is superfluous, or fetch one batch from one PBX."""
        if self._unlink():
            return True
        due = queries.due_pbxs(self._db, self._now())
        if not due:
            life.doing("waiting for recordings")
            return False
        self._turn += 1
        chosen = due[(self._turn + self._instance) % len(due)]
        if not self._has_room():
            life.doing("waiting: the disk is full")
            queries.mark_disk_full(self._db, chosen.id, self._now(), DISK_FULL)
            return False
        life.doing(f"fetching from PBX {chosen.id}")
        return self._batch(chosen, life)

    def _has_room(self) -> bool:
        """Is there more than the reserve? Once there was not, a quarter more is wanted, so that
        archiving does not begin and end again with every file that is deleted.
        """
        reserve = self._settings.reserve_mb << 20
        free = [self._store.free_bytes(), *queries.database_room(self._db, self._now())]
        is_full = min(free) < (reserve * 5 // 4 if self._is_full else reserve)
        if is_full != self._is_full:
            self._is_full = is_full
            if is_full:
                log.error("the disk is full: recordings wait on the PBX until there is room")
            else:
                log.info("there is room again")
                queries.fetch_waiting(self._db, self._now())
        return not is_full

    def _unlink(self) -> bool:
        with self._db.transaction():
            if path := queries.unlink_next(self._db):
                self._store.remove(self._store.root / path)
                queries.unlinked(self._db, path)
        return path is not None

    def _batch(self, source: queries.Pbx, life: Life) -> bool:
        """Fetch and commit up to BATCH recordings; false when there was nothing left to claim."""
        with ExitStack() as claimed, self._db.transaction():
            batch = Batch(
                self._db, self._store, self._instance, self._settings.retry_seconds, self._now
            )
            claimed.callback(self._fence.release)
            claims = []
            for claim in queries.claim(self._db, source.id, self._now(), BATCH):
                if self._fence.take(claim.id):
                    claims.append(claim)
                else:
                    batch.leave(claim)
            queries.confirm(self._db)
            connector = self._connector(source)
            began, taken = time.monotonic(), 0
            for claim in claims:
                try:
                    taken += batch.fetch(connector, source, claim, self._directory, life)
                except PbxDown as error:
                    self._drop(source)
                    pause = timedelta(seconds=min(LONGEST_PBX_PAUSE, 2**source.failures))
                    queries.pause_pbx(
                        self._db, source.id, self._now() + pause, source.failures + 1, str(error)
                    )
                    if source.failures == 0:
                        log.warning(
                            "the PBX is left alone for a while: %s", error, extra={"pbx": source.id}
                        )
                    break
                life.alive()
                late = time.monotonic() - began > BATCH_SECONDS
                if late or taken > BATCH_BYTES or batch.disk_full or life.stopping:
                    break
            else:
                queries.pbx_answers(self._db, source.id)
            batch.commit()
        return bool(claims) and not batch.disk_full

    def _connector(self, source: queries.Pbx) -> pbx.Connector:
        """Return the connection to a PBX, a new one when its settings changed."""
        for known in list(self._connectors):
            if known.id == source.id and known != source:
                self._drop(known)
        if source not in self._connectors:
            token = seal.unseal(self._token_key, source.token_sealed, source.uid.bytes).decode()
            self._connectors[source] = pbx.connect(
                source.kind,
                source.url,
                token=token,
                certificate=source.certificate,
                timezone=source.timezone,
            )
        return self._connectors[source]

    def _drop(self, source: queries.Pbx) -> None:
        if connector := self._connectors.pop(source, None):
            connector.close()
