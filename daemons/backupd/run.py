"""One backup, in steps: the files that are new, then a catalogue, and its name only when all of it
is there.

Files come before rows: what a catalogue lists, the target has. Killed anywhere, the next run copies
what lacks; what was copied stays, and a catalogue without its mark was never one.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from common import __version__
from common import db as database
from common.db import Connection
from common.store import Store
from daemons.backupd import check, child, queries, sample
from daemons.backupd.child import Work
from daemons.backupd.target import BackupFailed, Reached, words

GRACE = timedelta(days=30)
BATCH = 10_000
SAMPLE = 10  # recordings that are read back after each run
COUNTS = "COUNTS"  # what the catalogue lists: recordings and bytes
DAILY, WEEKLY, MONTHLY = 14, 8, 24  # catalogues that are kept
VANISHED = 24  # rsync's status where files were deleted meanwhile, as retention does
SNAPSHOT_SECONDS = 6 * 3600
FORMAT = "%Y%m%dT%H%M%SZ"
RESTORE = """\
# A catalogue of a CallStash

`db.dump` is the whole database in PostgreSQL's custom format, as it was when every file that it
lists was in `../../recordings`. On an empty machine, with CallStash {version} or newer installed:

    callstash restore TARGET --master-key FILE

TARGET is the directory above `catalogue`, as rsync names it (`/mnt/backup` or `user@host:/path`).
FILE is the recovery kit: without it nobody can hear a recording. A directory here without a file
COMPLETE was not finished; leave it alone.
"""


@dataclass
class Backup:
    """What a run needs, and what it has done so far."""

    db: Connection
    database: str
    store: Store
    at: Reached
    target: UUID
    work: Path
    now: Callable[[], datetime]
    pg_dump: str
    phase: str = ""
    done: int = 0
    total: int = 0
    statistics: Counter[str] = field(default_factory=Counter)
    catalogue: str = ""

    def __post_init__(self) -> None:
        self.children = Work(self.at.directory)

    def steps(self, box: UUID) -> Iterator[None]:
        """Do the backup; each step is short. Raises BackupFailed."""
        self.phase = "looking at the target"
        if check.identity(self.at, box) != self.target:
            raise BackupFailed("That is not the target that was saved: save it anew.")
        yield
        self.phase = "copying recordings"
        since = queries.copied_upto(self.db, self.target)
        with database.connect(self.database, "backupd", idle_seconds=SNAPSHOT_SECONDS) as reader:
            with reader.transaction():
                horizon = queries.horizon(reader)
                yield from self._list(reader, since)
            yield from self._copy()
            queries.copied(self.db, self.target, horizon)
            self.phase = "writing the catalogue"
            with reader.transaction():
                reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                snapshot = queries.snapshot(reader)
                upto = queries.horizon(reader)
                yield from self._list(reader, horizon)
                yield from self._copy()
                yield from self._dump(snapshot)
                counts = queries.counts(reader)
                (self.work / "catalogue" / COUNTS).write_text(json.dumps(counts) + "\n")
        queries.copied(self.db, self.target, upto)
        yield from self._place()
        self.phase = "reading recordings back"
        files = queries.sample(self.db, upto, SAMPLE)
        bad = yield from sample.read_back(self.at, self.children, files)
        if bad:
            raise BackupFailed(
                f"{bad} of {len(files)} recordings that were read back from the target are not as"
                " they were stored."
            )
        self.phase = "tidying the target"
        yield from self._prune()
        yield from self._delete()

    def _prune(self) -> Iterator[None]:
        """Delete catalogues that the schedule no longer keeps, and such that were not finished."""
        names = check.listed(self.at, "catalogue")
        for name in sorted(names - kept(names)):
            check.remove(self.at, "catalogue", name)
            yield

    def _delete(self) -> Iterator[None]:
        """Delete what was deleted here longer ago than the grace."""
        while paths := queries.deleted(self.db, self.now() - GRACE, BATCH):
            names = self.work / "deleted"
            names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
            yield from self._rsync(
                "--delete-missing-args", "--from0", f"--files-from={names}",
                f"{self.store.root}/", self.at.place("recordings"),
            )  # fmt: skip
            queries.forget_deleted(self.db, paths)

    def _list(self, db: Connection, since: str) -> Iterator[None]:
        """Write the names of new files."""
        self.done = self.total = 0
        with (self.work / "files").open("wb") as names:
            for one in queries.files(db, since):
                name = self.store.name(one.company_id, one.started_at, one.id, one.generation)
                names.write(os.fsencode(name) + b"\0")
                self.total += 1
                if self.total % queries.FETCHED == 0:
                    yield

    def _copy(self) -> Iterator[None]:
        if not self.total:
            return
        durable = () if self.at.target.host else ("--fsync",)  # older servers don't know it
        yield from self._rsync(
            "--times", "--from0", f"--files-from={self.work / 'files'}", *durable,
            "--partial-dir=.partial", "--info=progress2,stats2", "--no-human-readable",
            f"{self.store.root}/", self.at.place("recordings"),
        )  # fmt: skip

    def _rsync(self, *arguments: str) -> Iterator[None]:
        status, said = yield from self.children.run(
            self.at.command(*arguments), self.at.environment, self._look
        )
        if status not in (0, VANISHED):
            raise BackupFailed(words(self.at.target, status, said))
        self.statistics.update(child.statistics(said))

    def _look(self, said: str) -> None:
        if found := child.progress(said):
            self.done, self.total = found

    def _dump(self, snapshot: str) -> Iterator[None]:
        self.catalogue = self.now().astimezone(UTC).strftime(FORMAT)
        made = self.work / "catalogue"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        command = [
            "setpriv", "--pdeathsig", "TERM", "--", "ionice", "-c", "3", self.pg_dump,
            "--format=custom", f"--snapshot={snapshot}", f"--file={made / 'db.dump'}",
            f"--dbname={self.database} user=callstash_backupd",
        ]  # fmt: skip
        status, said = yield from self.children.run(command, os.environ)
        if status:
            raise BackupFailed(f"The database could not be copied: {said.strip()[-300:]}")

    def _place(self) -> Iterator[None]:
        made = self.work / "catalogue"
        (made / "VERSION").write_text(f"{__version__}\n")
        (made / "RESTORE.md").write_text(RESTORE.format(version=__version__))
        sums = []
        for path in sorted(made.iterdir()):
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
            sums.append(f"{digest.hexdigest()}  {path.name}\n")
            yield
        listed = "".join(sums)
        (made / "SHA256SUMS").write_text(listed)
        digest = hashlib.sha256(listed.encode())
        self.phase = "copying the catalogue"
        place = f"catalogue/{self.catalogue}"
        self.at.rsync(
            "--dirs", "--relative", f"{_tree(self.at.directory, place)}/./{place}/", self.at.place()
        )
        figures, self.statistics = self.statistics, Counter()
        yield from self._rsync("--times", "--recursive", f"{made}/", self.at.place(place))
        self.statistics = figures
        mark = f"{self.catalogue} {digest.hexdigest()}\n"
        (self.at.directory / "COMPLETE").write_text(mark)
        self.at.rsync(str(self.at.directory / "COMPLETE"), self.at.place(place))
        shutil.rmtree(made)


def kept(names: Iterable[str]) -> set[str]:
    """Return the catalogues that are kept: the newest of each of the last days, weeks and months
    that have one. A name that is none of ours is left alone.
    """
    left, days = set(), {}
    for name in sorted(names):
        try:
            days[name] = datetime.strptime(name, FORMAT).replace(tzinfo=UTC)
        except ValueError:
            left.add(name)
    for count, period in ((DAILY, "%Y%m%d"), (WEEKLY, "%G%V"), (MONTHLY, "%Y%m")):
        newest = {at.strftime(period): name for name, at in days.items()}
        left |= {newest[key] for key in sorted(newest)[-count:]}
    return left


def _tree(directory: Path, place: str) -> Path:
    """Return a directory that has the empty directory `place` in it."""
    root = directory / "tree"
    (root / place).mkdir(parents=True, exist_ok=True)
    return root
