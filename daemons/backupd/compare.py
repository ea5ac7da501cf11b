"""The whole target beside this box: what lacks there, or is not as it was stored, is copied again,
but only where this box's own file is right.

Every copy is looked for and its size compared; the contents of one part in PARTS are read on both
sides, another part each time. Nothing is copied because it differs: it may be this box that is
wrong, and then the copy is what saves it.
"""

import hashlib
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from common.db import Connection
from common.store import Store
from daemons.backupd import sample
from daemons.backupd.child import Work
from daemons.backupd.queries import recordings
from daemons.backupd.target import BackupFailed, Reached, words

PARTS = 13  # with one comparison a week, every copy is read once in a quarter
BATCH = 100  # files that are copied again and read back together
_DIFFERS = re.compile(r"[<>]f[^ ]{9,} ([0-9a-f/.-]+\.csrec)", re.ASCII)


@dataclass
class Comparison:
    """Compares and mends; counts what it did. `db` is no connection that others work on."""

    db: Connection
    store: Store
    at: Reached
    children: Work
    work: Path
    mended: int = 0
    hopeless: int = 0

    def whole(self, part: int | None) -> Iterator[None]:
        """Compare every copy, and the contents of one part; None: of all. Raises BackupFailed."""
        shallow, deep = self.work / "shallow", self.work / "deep"
        with shallow.open("wb") as every, deep.open("wb") as some, self.db.transaction():
            for number, one in enumerate(recordings.files(self.db, "0")):
                name = Store.name(one.company_id, one.started_at, one.id, one.generation)
                is_read = part is None or one.id.int % PARTS == part % PARTS
                file = some if is_read else every
                file.write(os.fsencode(name) + b"\0")
                if number % recordings.FETCHED == 0:
                    yield
        for names, how in ((shallow, "--size-only"), (deep, "--checksum")):
            if names.stat().st_size:
                differs = yield from self._differs(names, how)
                yield from self.mend(differs)

    def _differs(self, names: Path, how: str) -> Generator[None, None, list[str]]:
        status, said = yield from self.children.run(
            self.at.command(
                "--dry-run", how, "--from0", f"--files-from={names}", "--ignore-missing-args",
                "--out-format=%i %n", f"{self.store.root}/", self.at.place("recordings"),
                seconds=6 * 3600,
            ),
            self.at.environment,
        )  # fmt: skip
        if status:
            raise BackupFailed(words(self.at.target, status, said))
        assert self.children.ended is not None
        lines = self.children.ended.lines()
        return [found[1] for line in lines if (found := _DIFFERS.fullmatch(line))]

    def mend(self, names: Sequence[str]) -> Iterator[None]:
        """Copy recordings again whose file here is as it was stored. Raises BackupFailed."""
        for start in range(0, len(names), BATCH):
            wanted = set(names[start : start + BATCH])
            ids = [UUID(Path(name).name[:36]) for name in wanted]
            files = sample.hashes(recordings.stored(self.db, ids))
            right = {}
            for name, expected in files.items():
                if name in wanted and self._is_right(name, expected):
                    right[name] = expected
                yield
            listed = self.work / "mended"
            listed.write_bytes(b"".join(os.fsencode(name) + b"\0" for name in right))
            if right:
                status, said = yield from self.children.run(
                    self.at.command(
                        "--times", "--ignore-times", "--from0", f"--files-from={listed}",
                        f"{self.store.root}/", self.at.place("recordings"),
                    ),
                    self.at.environment,
                )  # fmt: skip
                if status:
                    raise BackupFailed(words(self.at.target, status, said))
            bad = yield from sample.read_back(self.at, self.children, "recordings", right)
            self.mended += len(right) - len(bad)
            wrong_here = {name: files[name] for name in wanted & files.keys() - right.keys()}
            lost = yield from sample.read_back(
                self.at, self.children, "recordings", wrong_here
            )  # else the copy is what saves it
            self.hopeless += len(bad) + recordings.unexplained(
                self.db, [UUID(Path(name).name[:36]) for name in lost]
            )

    def _is_right(self, name: str, expected: bytes) -> bool:
        try:
            with (self.store.root / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest() == expected
        except OSError:
            return False
