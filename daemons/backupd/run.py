"""One backup, in steps: the files that are new, then a catalogue, and its name only when all of it
is there.

Files come before rows: what a catalogue lists, the target has. Killed anywhere, the next run copies
what lacks; what was copied stays, and a catalogue without its mark was never one.
"""

import json
import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from common import db as database
from common import rowfile
from common.db import Connection
from common.store import Store
from daemons.backupd import check, child, rows, sample
from daemons.backupd.brake import Brake
from daemons.backupd.catalogue import COUNTS, FORMAT, describe, kept, mark
from daemons.backupd.child import Work
from daemons.backupd.compare import Comparison
from daemons.backupd.pace import Pace
from daemons.backupd.queries import daily, progress, recordings
from daemons.backupd.queries.daily import Day
from daemons.backupd.target import BackupFailed, Reached, words

log = logging.getLogger(__name__)

GRACE = timedelta(days=30)
WEEKLY = timedelta(days=7)
BATCH = 10_000
SAMPLE = 10  # recordings that are read back after each run, and files with rows
VANISHED = 24  # rsync's status where files were deleted meanwhile, as retention does
PIECE = 1 << 16  # bytes of names between two steps
SNAPSHOT_SECONDS = 6 * 3600


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
    pace: Pace
    phase: str = ""
    done: int = 0
    total: int = 0
    statistics: Counter[str] = field(default_factory=Counter)
    catalogue: str = ""
    is_resting: bool = False

    def __post_init__(self) -> None:
        self.children = Work(self.at.directory)
        self.made = self.work / "catalogue"
        self.rows = self.work / "rows"

    def steps(self, box: UUID) -> Iterator[None]:
        """Do the backup; each step is short. Raises BackupFailed."""
        self.phase = "looking at the target"
        if check.identity(self.at, box) != self.target:
            raise BackupFailed("That is not the target that was saved: save it anew.")
        yield
        known = daily.days(self.db, self.target)
        compared = progress.compared_at(self.db, self.target)
        is_whole = not known or compared is None or self.now() - compared >= WEEKLY
        with database.connect(self.database, "backupd", idle_seconds=SNAPSHOT_SECONDS) as reader:
            brake = Brake(self.db, reader, self.store, self.target, self.now)
            yield from brake.check(box, sum(one.recordings for one in known.values()))
            upto, days, is_whole = yield from self._write_all(reader, brake, known, is_whole)
            is_suspect = bool(known) and compared is None
            yield from self._prove(reader, upto, days, is_whole and bool(known), is_suspect)
        self.phase = "tidying the target"
        yield from self._prune(is_whole)
        yield from self._delete()

    def _write_all(
        self, reader: Connection, brake: Brake, known: dict[date, Day], is_whole: bool
    ) -> Generator[None, None, tuple[str, list[Day], bool]]:
        """Copy what is new and write a catalogue; return the first transaction that it may lack,
        its days, and whether all of them were read.
        """
        self.phase = "copying recordings"
        since = progress.copied_upto(self.db, self.target)
        with reader.transaction():
            horizon = progress.horizon(reader)
            yield from self._list(reader, since)
        yield from self._fill() if not known else self._copy()
        yield from self._account_for()
        progress.copied(self.db, self.target, horizon)
        with reader.transaction():
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            snapshot, seen = progress.snapshot(reader), progress.seen(reader)
            upto, taken = progress.horizon(reader), self.now()
            yield from self._list(reader, horizon)
            yield from self._copy()
            yield from self._account_for()
            self.phase = "writing the catalogue"
            days, has_drifted = yield from self._days(reader, known, is_whole)
            yield from self._dump(snapshot)
        yield from self._place(days)
        is_whole = is_whole or has_drifted
        progress.finished(self.db, self.target, upto, days, self.now() if is_whole else None)
        brake.passed(seen, taken)
        return upto, days, is_whole

    def _days(
        self, reader: Connection, known: dict[date, Day], is_whole: bool
    ) -> Generator[None, None, tuple[list[Day], bool]]:
        """Write the rows of the days that changed, or of all; return the days of the catalogue,
        and whether one had changed that nobody had said so of.

        What was counted when each day was written must be what is stored now.
        """
        shutil.rmtree(self.rows, ignore_errors=True)
        self.rows.mkdir(mode=0o700)
        changed = daily.changed_days(reader)
        days, drifted = dict(known), False
        if not is_whole:
            yield from self._write(reader, changed, days)
            drifted = sum(one.recordings for one in days.values()) != recordings.count(reader)
        if is_whole or drifted:
            days = {}
            yield from self._write(reader, daily.all_days(reader), days)
            drifted = any(
                day not in changed
                and getattr(days.get(day), "content", None)
                != getattr(known.get(day), "content", None)
                for day in (days.keys() | known.keys() if known else ())
            )
        if drifted:
            log.error("rows of recordings changed that no backup knew of: all are copied anew")
            self.statistics["drifted"] += 1
        listed = [days[day] for day in sorted(days)]
        if sum(one.recordings for one in listed) != recordings.count(reader):
            raise BackupFailed("The rows that were read are not those that were counted.")
        return listed, drifted

    def _write(
        self, reader: Connection, which: list[date], days: dict[date, Day]
    ) -> Iterator[None]:
        for day in which:
            made = yield from rows.write(reader, day, self.rows)
            if made is None:
                days.pop(day, None)
            else:
                days[day] = made
            yield

    def _prove(
        self, reader: Connection, upto: str, days: list[Day], is_whole: bool, is_suspect: bool
    ) -> Iterator[None]:
        """Read a sample back; what is not as it was stored is copied again, and then everything at
        the target is read at once, as it is when the last restore drill failed.
        """
        self.phase = "reading recordings back"
        work = Comparison(reader, self.store, self.at, self.children, self.work)
        files = sample.hashes(recordings.sample(self.db, upto, SAMPLE))
        bad = yield from sample.read_back(self.at, self.children, "recordings", files)
        yield from work.mend(bad)
        chosen = {
            rowfile.RowFile(one.day, one.sha256.hex()).name: one.sha256
            for one in random.sample(days, min(SAMPLE, len(days)))
        }
        damaged = yield from sample.read_back(self.at, self.children, "", chosen)
        if is_whole or bad:
            self.phase = "comparing the whole target"
            part = self.now().toordinal() // 7
            yield from work.whole(None if bad or is_suspect else part)
        self.statistics["mended"] += work.mended
        if damaged:
            progress.compare_again(self.db, self.target)
            raise BackupFailed(
                f"{len(damaged)} of {len(chosen)} files with rows of recordings that were read back"
                " from the target are not as they were stored. The next backup writes all anew."
            )
        if work.hopeless:
            raise BackupFailed(
                f"{work.hopeless} recordings at the target are missing or not as they were stored,"
                " and could not be copied again: they are damaged on this machine too, or the"
                " target does not keep what is written to it."
            )

    def _prune(self, is_whole: bool) -> Iterator[None]:
        """Delete catalogues that the schedule no longer keeps, and such that were not finished;
        after a whole comparison also rows that no catalogue lists.
        """
        names = check.listed(self.at, "catalogue")
        for name in sorted(names - kept(names)):
            check.remove(self.at, "catalogue", name)
            yield
        if not is_whole:
            return
        lists = self.at.directory / "lists"
        yield from self._rsync(
            "--recursive", "--prune-empty-dirs", "--include=/*/", f"--include=/*/{rowfile.LIST}",
            "--exclude=*", self.at.place("catalogue"), f"{lists}/", count=False,
        )  # fmt: skip
        wanted = {one.name for path in lists.iterdir() for one in rowfile.listed(path)}
        for year in sorted(check.listed(self.at, rowfile.DIRECTORY)):
            place = f"{rowfile.DIRECTORY}/{year}"
            there = {f"{place}/{name}" for name in check.listed(self.at, place)}
            left = {name for name in there - wanted if rowfile.named(name)}
            yield from self._remove(sorted(left), "")
        shutil.rmtree(lists)

    def _delete(self) -> Iterator[None]:
        """Delete what was deleted here longer ago than the grace."""
        while paths := recordings.deleted(self.db, self.now() - GRACE, BATCH):
            yield from self._remove(paths, "recordings")
            recordings.forget_deleted(self.db, paths)

    def _remove(self, paths: list[str], place: str) -> Iterator[None]:
        names, empty = self.work / "deleted", self.at.directory / "nothing"
        empty.mkdir(exist_ok=True)
        names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
        if paths:
            yield from self._rsync(
                "--delete-missing-args", "--from0", f"--files-from={names}", f"{empty}/",
                self.at.place(place),
            )  # fmt: skip

    def _list(self, db: Connection, since: str) -> Iterator[None]:
        """Write the names of new files."""
        self.done = self.total = 0
        with (self.work / "files").open("wb") as names:
            for one in recordings.files(db, since):
                name = self.store.name(one.company_id, one.started_at, one.id, one.generation)
                names.write(os.fsencode(name) + b"\0")
                self.total += 1
                if self.total % recordings.FETCHED == 0:
                    yield

    def _fill(self) -> Iterator[None]:
        """Copy everything to a new target, but not while it shall have its rest."""
        copying = self._copy()
        for _ in copying:
            yield
            if not self.pace.is_quiet(self.now()):
                continue
            self.children.stop()
            copying.close()
            self.children.running = None
            self.phase, self.is_resting = f"resting until {self.pace.until}", True
            while self.pace.is_quiet(self.now()):
                yield
            self.phase, self.is_resting = "copying recordings", False
            yield from self._fill()  # what is there already is not copied twice
            return

    def _copy(self) -> Generator[None, None, None]:
        if not self.total:
            return
        yield
        durable = () if self.at.target.host else ("--fsync",)  # older servers don't know it
        yield from self._rsync(
            "--times", "--from0", f"--files-from={self.work / 'files'}", *durable,
            "--ignore-missing-args", *self.pace.options,
            "--partial-dir=.partial", "--info=progress2,stats2", "--no-human-readable",
            f"{self.store.root}/", self.at.place("recordings"),
        )  # fmt: skip

    def _account_for(self) -> Iterator[None]:
        """See that what was to be copied was there: rsync passes over what retention deletes
        meanwhile. What is known to be missing is told by an alert, and can't be copied.
        """
        lost: list[UUID] = []
        rest = b""
        with (self.work / "files").open("rb") as file:
            while piece := file.read(PIECE):
                *names, rest = (rest + piece).split(b"\0")
                for name in map(os.fsdecode, names):
                    if not (self.store.root / name).is_file():
                        lost.append(UUID(Path(name).name[:36]))
                yield
        if lost and (count := recordings.unexplained(self.db, lost)):
            raise BackupFailed(
                f"The files of {count:,} recordings are missing on this machine, and the target"
                " does not have them. Have the files compared on the housekeeping page: what the"
                " PBX still keeps is fetched again."
            )

    def _rsync(self, *arguments: str, count: bool = True) -> Iterator[None]:
        status, said = yield from self.children.run(
            self.at.command(*arguments), self.at.environment, self._look
        )
        if status not in (0, VANISHED):
            raise BackupFailed(words(self.at.target, status, said))
        if count:
            self.statistics.update(child.statistics(said))

    def _look(self, said: str) -> None:
        if found := child.progress(said):
            self.done, self.total = found

    def _dump(self, snapshot: str) -> Iterator[None]:
        self.catalogue = self.now().astimezone(UTC).strftime(FORMAT)
        shutil.rmtree(self.made, ignore_errors=True)
        self.made.mkdir(mode=0o700)
        without = (*rowfile.TABLES, "backup_rows", "backup_changed", "backup_progress")
        command = [
            "setpriv", "--pdeathsig", "TERM", "--", "ionice", "-c", "3", self.pg_dump,
            "--format=custom", f"--snapshot={snapshot}", f"--file={self.made / 'db.dump'}",
            *(f"--exclude-table-data=public.{table}" for table in without),
            "--exclude-schema=callstash_restore",
            f"--dbname={self.database} user=callstash_backupd",
        ]  # fmt: skip
        status, said = yield from self.children.run(command, os.environ)
        if status:
            raise BackupFailed(f"The database could not be copied: {said.strip()[-300:]}")

    def _place(self, days: list[Day]) -> Iterator[None]:
        """Copy the rows and the catalogue, and mark it."""
        self.phase = "copying the catalogue"
        if any(self.rows.iterdir()):
            yield from self._rsync(
                "--times", "--recursive", "--checksum", *self.pace.options, f"{self.rows}/rows/",
                self.at.place(rowfile.DIRECTORY), count=False,
            )  # fmt: skip
        counts = {"recordings": sum(one.recordings for one in days),
                  "bytes": sum(one.bytes for one in days)}  # fmt: skip
        (self.made / COUNTS).write_text(json.dumps(counts) + "\n")
        (self.made / rowfile.LIST).write_text(rows.manifest(days))
        yield from describe(self.made)
        place = f"catalogue/{self.catalogue}"
        tree = self.at.directory / "tree"
        (tree / place).mkdir(parents=True)
        self.at.rsync("--dirs", "--relative", f"{tree}/./{place}/", self.at.place())
        yield from self._rsync("--recursive", f"{self.made}/", self.at.place(place), count=False)
        (self.at.directory / "COMPLETE").write_text(mark(self.catalogue, self.made))
        self.at.rsync(str(self.at.directory / "COMPLETE"), self.at.place(place))
        self.forget()

    def forget(self) -> None:
        """Remove what was made for the catalogue."""
        for place in (self.made, self.rows):
            shutil.rmtree(place, ignore_errors=True)
