"""The restore drill: the newest catalogue is fetched from the target and rebuilt in a PostgreSQL of
its own, and recordings that it lists are read back. This box's own database is not looked at.

Only that what comes back is what was stored is proven here; nobody but the holder of the master key
could hear it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from common import rowfile
from daemons.backupd import check, sample
from daemons.backupd.catalogue import COUNTS
from daemons.backupd.child import Child, Work
from daemons.backupd.queries import recordings
from daemons.backupd.target import BackupFailed, Reached, words

SAMPLE = 50
PIECE = 1 << 20
SERVER = {
    "listen_addresses": "", "port": "5432", "fsync": "off", "full_page_writes": "off",
    "shared_buffers": "32MB", "max_wal_size": "256MB", "wal_level": "minimal",
    "max_wal_senders": "0", "autovacuum": "off",
}  # fmt: skip


@dataclass
class Drill:
    """One drill; `prefix` is what the server is started with."""

    at: Reached
    target: UUID
    work: Path
    programs: Path
    prefix: Sequence[str] = ()
    phase: str = "a restore is tried"
    done: int = 0
    total: int = 0
    catalogue: str = ""
    recordings: int = 0
    sampled: int = 0
    server: Child | None = None

    def __post_init__(self) -> None:
        self.children = Work(self.at.directory)
        self.place = self.work / "drill"

    def steps(self, box: UUID) -> Iterator[None]:
        """Do the drill; each step is short. Raises BackupFailed."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        if check.identity(self.at, box) != self.target:
            raise BackupFailed("That is not the target that was saved: save it anew.")
        yield
        self._choose()
        yield from self._fetch()
        yield from self._start()
        yield from self._rebuild()
        yield from self._compare()

    def close(self) -> None:
        """End the server and forget everything."""
        self.children.stop()
        if self.server is not None:
            self.server.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def _choose(self) -> None:
        for name in sorted(check.listed(self.at, "catalogue"), reverse=True):
            if "COMPLETE" in check.listed(self.at, f"catalogue/{name}"):
                self.catalogue = name
                return
        raise BackupFailed("There is no complete catalogue at the target.")

    def _fetch(self) -> Iterator[None]:
        found = self.place / "catalogue"
        source = self.at.place(f"catalogue/{self.catalogue}")
        yield from self._run(self.at.command("--recursive", source, f"{found}/"))
        for line in (found / "SHA256SUMS").read_text().splitlines():
            expected, _, name = line.partition("  ")
            digest = hashlib.sha256()
            with (found / Path(name).name).open("rb") as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                    if file.tell() % (64 * PIECE) == 0:
                        yield
            if digest.hexdigest() != expected:
                raise BackupFailed(f"{name} in catalogue {self.catalogue} is damaged.")
        yield from self._fetch_rows(found)

    def _fetch_rows(self, found: Path) -> Iterator[None]:
        files = rowfile.listed(found)
        names = self.place / "names"
        names.write_text("".join(f"{file.name}\n" for file in files))
        if files:
            command = self.at.command(f"--files-from={names}", self.at.place(), f"{self.place}/")
            yield from self._run(command, may_lack=True)
        for file in files:
            if not rowfile.is_whole(self.place / file.name, file):
                raise BackupFailed(f"{file.name} is missing or damaged.")
            yield

    def _run(
        self, command: Sequence[str], *, is_rsync: bool = True, may_lack: bool = False
    ) -> Iterator[None]:
        environment = self.at.environment if is_rsync else dict(os.environ)
        status, said = yield from self.children.run(command, environment)
        if status and not (may_lack and status == sample.PARTIAL):
            why = words(self.at.target, status, said) if is_rsync else said.strip()[-300:]
            raise BackupFailed(why)

    def _start(self) -> Iterator[None]:
        data = self.place / "data"
        initdb = [
            *self.prefix, str(self.programs / "initdb"), "-D", str(data), "-U", "postgres",
            "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        yield from self._run(initdb, is_rsync=False)
        settings = {**SERVER, "unix_socket_directories": str(self.at.directory)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = ["setpriv", "--pdeathsig", "INT", "--", "ionice", "-c", "3", *self.prefix]
        command += [str(self.programs / "postgres"), "-D", str(data), *options]
        self.server = Child(command, self.at.directory, os.environ)
        while True:
            if self.server.status() is not None:
                raise BackupFailed(f"The server ended: {self.server.said().strip()[-300:]}")
            with suppress(psycopg.OperationalError), self._connect("postgres") as connection:
                connection.execute("CREATE DATABASE drill")
                return
            yield

    def _connect(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            f"host={self.at.directory} port=5432 dbname={name}", user="postgres", autocommit=True
        )

    def _rebuild(self) -> Iterator[None]:
        yield from self._restore("pre-data", "data")
        with self._connect("drill") as connection:
            for file in rowfile.listed(self.place / "catalogue"):
                with connection.transaction():
                    rowfile.load(connection, self.place / file.name)
                yield
        yield from self._restore("post-data")

    def _restore(self, *sections: str) -> Iterator[None]:
        command = [
            str(self.programs / "pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error",
            *(f"--section={section}" for section in sections),
            f"--dbname=host={self.at.directory} port=5432 dbname=drill user=postgres",
            str(self.place / "catalogue" / "db.dump"),
        ]  # fmt: skip
        yield from self._run(command, is_rsync=False)

    def _compare(self) -> Iterator[None]:
        with self._connect("drill") as connection:
            found = recordings.counts(connection)
            listed = json.loads((self.place / "catalogue" / COUNTS).read_text())
            if found != listed:
                raise BackupFailed(
                    f"The database that comes back has {found['recordings']:,} recordings, not"
                    f" {listed['recordings']:,}."
                )
            connection.execute("ANALYZE recording_audio")
            files = recordings.sample(connection, str((1 << 64) - 1), SAMPLE)
        self.recordings, self.sampled = found["recordings"], len(files)
        bad = yield from sample.read_back(
            self.at, self.children, "recordings", sample.hashes(files)
        )
        if bad:
            raise BackupFailed(
                f"{len(bad)} of {len(files)} recordings that were read back are not as they were"
                " stored."
            )
