"""Damage: files that are not as they were stored. Noted once, fetched again from the PBX while it
has them, and looked at again until they are whole.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from common import pbx
from common.daemon import Life
from common.db import Connection
from common.store import Fence, Incoming, Store
from daemons.housekeeper.queries import inspections, purges
from daemons.housekeeper.queries.inspections import Damage, Stored

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds
PIECE = 1 << 20
BATCH = 200


class Damages:
    """The damage that is known; told of more by the sweep and the scrub."""

    def __init__(
        self, db: Connection, store: Store, box: UUID, now: Callable[[], datetime],
        repair: Path | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self.store = store
        self._box = box
        self._now = now
        self._next = 0.0
        self._after = 0
        self._is_there = False
        self._repair = repair  # where backupd puts what it fetched back from the backup

    def is_there(self) -> bool:
        """Say whether the archive is there; as long as it is not, nothing of it is missed.

        An archive that has no mark yet gets one, unless recordings should be in it and are not.
        """
        if self.store.belongs_to(self._box):
            is_there = True
        elif (self.store.root / "archive.id").exists():
            is_there = False
        else:
            newest = inspections.newest(self._db)
            is_there = newest is None or self.path(newest).exists()
            if is_there:
                self._mark()
        if self._is_there and not is_there:
            log.critical("the archive is not there: is its disk mounted?")
        self._is_there = is_there
        return is_there

    def _mark(self) -> None:
        try:
            self.store.mark(self._box)
        except OSError as error:  # a full disk must not keep us from deleting
            log.warning("the archive can't be marked yet: %s", error)

    def path(self, stored: Stored) -> Path:
        """Return where a recording should lie."""
        return self.store.path(stored.company_id, stored.started_at, stored.id, stored.generation)

    def note(self, kind: str, stored: Stored) -> bool:
        """Note a recording whose file is missing, mismatched or unreadable; false where nothing is
        wrong, since it was replaced or deleted meanwhile, or the damage is known.
        """
        with self._db.transaction():
            if inspections.one(self._db, stored.id) != stored or not self.is_there():
                return False
            name = str(self.path(stored).relative_to(self.store.root))
            if not self._add(name, kind, stored.id, stored.generation):
                return False
            detail = json.dumps({"what": kind})
            purges.note(self._db, "recording.damaged", f"recording:{stored.id}", detail)
        log.error("the file of a recording is %s", kind, extra={"recording": stored.id})
        return True

    def note_untracked(self, name: str) -> bool:
        """Note a file that belongs to no recording; false where that is known."""
        return self._add(name, "untracked", None, None)

    def _add(self, name: str, kind: str, recording: UUID | None, generation: int | None) -> bool:
        self._next = 0.0
        return inspections.note(self._db, name, kind, recording, generation, self._now())

    def turn(self, life: Life) -> bool:
        """Look again at some of what is damaged, every so often."""
        if time.monotonic() < self._next:
            return False
        found = inspections.damages(self._db, self._after, BATCH)
        if found and self.is_there():
            life.doing("looking at damaged recordings again")
            for damage in found:
                try:
                    with self._db.transaction():
                        self._look(damage)
                except OSError as error:  # the next look tries again
                    log.error("a recording can't be repaired: %s", error)
        self._after = found[-1].id if len(found) == BATCH else 0
        self._next = time.monotonic() + EVERY
        return False

    def _look(self, damage: Damage) -> None:
        path = self.store.root / damage.path
        if damage.recording_id is None:
            if not path.exists():
                inspections.ended(self._db, damage.id, "deleted", self._now())
            return
        stored = inspections.one(self._db, damage.recording_id)
        if stored is None:
            self._end(damage, "deleted")
        elif stored.generation != damage.generation:
            self._end(damage, "fetched")
        elif _touched(path) > damage.found_at.timestamp() and is_whole(path, stored):
            self._end(damage, "found")
        elif self._repair is not None and is_whole(self._repair / damage.path, stored):
            self._bring_back(self._repair / damage.path, path, stored)
            self._end(damage, "backup")
        else:
            now = self._now()
            inspections.fetch_again(self._db, damage.id, stored.id, now, now - pbx.KEPT)

    def _bring_back(self, spare: Path, path: Path, stored: Stored) -> None:
        """Put a whole copy in the place of a damaged file, durable before it is said.

        What is hashed is what is written, whatever becomes of the copy meanwhile.
        """
        fence = Fence(self.store.root)
        try:
            if not fence.take(stored.id):
                raise BlockingIOError(f"an archiver works on {stored.id}")
            self.store.clear_incoming(0)  # a killed run may have left it
            incoming, digest = Incoming(self.store.incoming(0) / path.name), hashlib.sha256()
            try:
                with spare.open("rb") as file:
                    while piece := file.read(PIECE):
                        digest.update(piece)
                        incoming.write([piece])
                if digest.digest() != stored.file_sha256:
                    raise OSError(f"the copy of {stored.id} changed while it was read")
                incoming.sync()
                self.store.place(incoming, path)
            except BaseException:
                incoming.discard()
                raise
            self.store.sync(path.parent)
        finally:
            fence.close()

    def _end(self, damage: Damage, by: str) -> None:
        inspections.ended(self._db, damage.id, by, self._now())
        if by != "deleted":
            detail = json.dumps({"by": by})
            subject = f"recording:{damage.recording_id}"
            purges.note(self._db, "recording.repaired", subject, detail)
            log.info("a recording is whole again", extra={"recording": damage.recording_id})


def _touched(path: Path) -> float:
    """Return when a file was written, renamed or restored last; 0: it is not there."""
    try:
        return path.stat().st_ctime
    except OSError:
        return 0.0


def is_whole(path: Path, stored: Stored) -> bool:
    """Say whether a file is as it was stored."""
    try:
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != stored.file_size:
                return False
            digest = hashlib.sha256()
            while piece := file.read(PIECE):
                digest.update(piece)
    except OSError:
        return False
    return digest.digest() == stored.file_sha256
