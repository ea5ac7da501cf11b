"""Repair: damaged recordings are fetched back from the target, byte for byte as they were stored.
The housekeeper, which may write to the archive, puts them in their place.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from common.store import Store
from daemons.backupd import check
from daemons.backupd.child import Work
from daemons.backupd.queries.recordings import Damaged
from daemons.backupd.sample import PARTIAL
from daemons.backupd.target import BackupFailed, Reached, words

KEPT = 2 * 86400  # seconds in which the housekeeper takes what was fetched


@dataclass
class Repair:
    """Fetches some damaged files into `place`."""

    at: Reached
    target: UUID
    place: Path
    files: list[Damaged]
    phase: str = "fetching damaged recordings back"
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.children = Work(self.at.directory)

    def steps(self, box: UUID) -> Iterator[None]:
        """Do it; each step is short. Raises BackupFailed."""
        if check.identity(self.at, box) != self.target:
            raise BackupFailed("That is not the target that was saved: save it anew.")
        yield
        for old in self.place.rglob("*.csrec"):
            if time.time() - old.stat().st_mtime > KEPT:
                old.unlink()
        back, names = self.at.directory / "back", self.at.directory / "names"
        back.mkdir()
        paths = {Store.name(f.company_id, f.started_at, f.id, f.generation): f for f in self.files}
        names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
        status, said = yield from self.children.run(
            self.at.command(
                "--from0", f"--files-from={names}", self.at.place("recordings"), f"{back}/"
            ),
            self.at.environment,
        )
        if status not in (0, PARTIAL):
            raise BackupFailed(words(self.at.target, status, said))
        for path, file in paths.items():
            if (back / path).is_file():
                with (back / path).open("rb") as copy:
                    digest = hashlib.file_digest(copy, "sha256").digest()
                if digest == file.file_sha256:
                    (self.place / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(back / path, self.place / path)
                    self.done += 1
            yield
