"""The brake: an archive that suddenly lost recordings is not backed up over what saves it.

Lost is what the last complete catalogue listed and no policy deleted: rows that are gone, and files
that are missing. More than SHARE of it stops the backup until an administrator confirms it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from common.store import Store
from daemons.backupd.queries import brakes, progress, recordings
from daemons.backupd.queries.recordings import File
from daemons.backupd.target import BackupFailed

SHARE = 0.02
SAMPLE = 500  # files that are looked for each time; all, where some of these are missing


@dataclass
class Brake:
    """Looks before a backup, and notes what one that finished saw."""

    db: Connection
    reader: Connection
    store: Store
    target: UUID
    now: Callable[[], datetime]
    missing: int = 0

    def check(self, box: UUID, listed: int) -> Iterator[None]:
        """Go on only where little of `listed` recordings was lost. Raises BackupFailed."""
        is_marked = (self.store.root / "archive.id").exists()
        if is_marked and not self.store.belongs_to(box):
            raise BackupFailed(
                "Where the archive should be is that of another CallStash: nothing was backed up."
                " Look whether the right volume is mounted."
            )
        gone = brakes.lost(self.db, self.target, listed)
        yield from self._look()
        held = brakes.brake(self.db)
        rows, files = (held.lost_rows, held.lost_files) if held and held.is_confirmed else (0, 0)
        stored = max(listed, recordings.count(self.db))
        limit = SHARE * stored
        if gone - rows > limit or self.missing - files > limit:
            brakes.braked(self.db, self.now(), stored, gone, self.missing)
            raise BackupFailed(
                f"Of {stored:,} recordings, {gone:,} are gone from the database and the files of"
                f" {self.missing:,} are missing, though nobody had them deleted. Nothing is copied"
                " or deleted until that is confirmed on the backup page."
            )
        if held and not held.is_confirmed:
            brakes.release(self.db)

    def passed(self, seen: str, taken: datetime) -> None:
        """Note what the catalogue saw: rows that were lost before are lost no more."""
        progress.saw(self.db, self.target, seen, taken)
        if self.missing:
            brakes.forgive_rows(self.db)
        else:
            brakes.release(self.db)

    def _look(self) -> Iterator[None]:
        """Count the files that are missing, all of them only where there is reason to."""
        some = recordings.sample(self.db, progress.horizon(self.db), SAMPLE)
        self.missing = len(self._missing(some))
        yield
        if self.missing <= len(some) * SHARE / 2:
            self.missing = 0
            return
        missing: list[File] = []
        with self.reader.transaction():
            batch: list[File] = []
            for one in recordings.files(self.reader, "0"):
                batch.append(one)
                if len(batch) == recordings.FETCHED:
                    missing += self._missing(batch)
                    batch.clear()
                    yield
            missing += self._missing(batch)
        kept = {
            (one.id, one.generation) for one in recordings.stored(self.db, [m.id for m in missing])
        }
        self.missing = sum((one.id, one.generation) in kept for one in missing)

    def _missing(self, files: Iterable[File]) -> list[File]:
        return [
            one for one in files
            if not self.store.path(one.company_id, one.started_at, one.id, one.generation).is_file()
        ]  # fmt: skip
