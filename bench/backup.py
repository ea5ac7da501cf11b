"""What a night's backup costs: 300,000 recordings stored, 500 of them new.

Our run, with its catalogue of the database and its reading back, beside `rsync -a` of the whole
tree and beside `restic backup`, which know nothing of a database. A ratio is their time over ours:
more than 1 means that CallStash is faster. And how much dearer ten times as many recordings make
our run, with as many new ones. The files have 300 bytes, so that what counts is how many they are;
everything lies on one disk, and the tree is in memory, which favours those who walk it.
"""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg

from common import db as database
from common.store import Store
from daemons.backupd import check
from daemons.backupd.pace import Pace
from daemons.backupd.queries import runs
from daemons.backupd.run import Backup
from daemons.backupd.target import Target, reached
from devtools.setup import VAR
from devtools.stack import Stack, run_directory

STORED, NEW, SIZE, ROUNDS = (30_000, 300_000), 500, 300, 3
TICK = 1  # how long a daemon waits between two steps while a child of it works
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

FILL = (
    "INSERT INTO pbx (name, url, token_sealed, timezone, keep_months)"
    " VALUES ('Bench', 'https://pbx.example.com', 'x', 'UTC', 12)",
    "INSERT INTO poll (pbx_id, trigger, state, finished_at)"
    " VALUES (10, 'first', 'finished', now())",
    "INSERT INTO company (pbx_id, name, label, created_at)"
    " SELECT 10, n::text, n::text, now() - interval '9 years' FROM generate_series(1, 20) n",
    "INSERT INTO company_key (company_id, version, kid, public_key)"
    " SELECT id, 1, lpad(to_hex(id), 16, '0'), 'x' FROM company",
    "INSERT INTO pbx_user (pbx_id, remote_id) SELECT 10, n::text FROM generate_series(0, 89) n",
)
ADD = (
    "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
    " duration, caller, callee, caller_name, stored_at) SELECT gen_random_uuid(), 10,"
    " 201 + n %% 20, n::text, 1, 'stored', %(now)s - interval '9 years'"
    " + n * interval '30 seconds', 240, (200 + n %% 90)::text,"
    " '01632' || 960000 + n %% 1000, 'Alice Archer', now()"
    " FROM generate_series(%(first)s, %(last)s) n",
    "INSERT INTO recording_audio SELECT id, company_id, 1, 0,"
    " decode(repeat(md5(id::text), 24), 'hex'), %(size)s, sha256('f'), 4000, sha256('a'),"
    " 'audio/wav', 'ulaw', 1, 8000, 240, 44, 3900, decode(repeat(md5(remote_id), 60), 'hex')"
    " FROM recording WHERE remote_id::int BETWEEN %(first)s AND %(last)s",
    "INSERT INTO recording_owner SELECT id, 1 + (caller::int - 200), started_at FROM recording"
    " WHERE remote_id::int BETWEEN %(first)s AND %(last)s",
)


class Archive:
    """A database and a tree of files that grow together."""

    def __init__(self, stack: Stack, directory: Path, name: str) -> None:
        self.directory = directory
        self.dsn = stack.postgres.dsn(name)
        self.pg_dump = str(stack.postgres.program("pg_dump"))
        self.store = Store(directory / "archive")
        self.store.root.mkdir(parents=True)
        self.calls = 0
        with stack.postgres.connect() as server:
            server.execute(f"CREATE DATABASE {name}")
        self._db = psycopg.connect(
            self.dsn, user="postgres", autocommit=True, cursor_factory=psycopg.ClientCursor
        )
        database.migrate(self._db)
        for query in FILL:
            self._db.execute(query)

    def add(self, count: int) -> None:
        """Store recordings."""
        first, self.calls = self.calls + 1, self.calls + count
        arguments = {"first": first, "last": self.calls, "size": SIZE, "now": NOW}
        for query in ADD:
            self._db.execute(query, arguments)
        data = os.urandom(SIZE)
        digest = (
            "UPDATE recording_audio SET file_sha256 = sha256(%s) WHERE file_sha256 = sha256('f')"
        )
        self._db.execute(digest, [data])
        for company, started, recording in self._db.execute(
            "SELECT company_id, started_at, id FROM recording WHERE remote_id::int >= %s", [first]
        ):
            path = self.store.path(company, started, recording)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def settle(self) -> None:
        """Leave nothing to do for whoever is measured next."""
        self._db.execute("VACUUM ANALYZE")
        self._db.execute("CHECKPOINT")
        os.sync()

    def close(self) -> None:
        """Forget the connection."""
        self._db.close()


class Ours:
    """Our backup, driven as the daemon drives it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.place = archive.directory / "ours"
        self.place.mkdir()
        (archive.directory / "work").mkdir()
        with (
            database.connect(archive.dsn, "backupd") as db,
            reached(Target(str(self.place)), None) as at,
        ):
            self._target = check.tried(at, runs.box(db))

    def run(self) -> float:
        """Return the seconds that one backup takes."""
        begun = time.perf_counter()
        made = self._archive
        with (
            database.connect(made.dsn, "backupd") as db,
            reached(Target(str(self.place)), None) as at,
        ):
            work = Backup(
                db, made.dsn, made.store, at, self._target, made.directory / "work",
                lambda: datetime.now(UTC), made.pg_dump, Pace(UTC),
            )  # fmt: skip
            for _ in work.steps(runs.box(db)):
                if work.children.running is not None:
                    time.sleep(TICK)
        return time.perf_counter() - begun


def timed(*command: str) -> float:
    """Return the seconds that a command takes."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def measure(stack: Stack, directory: Path, stored: int) -> dict[str, float]:
    """Return the median seconds of each contender for NEW recordings among `stored`."""
    archive = Archive(stack, directory / str(stored), f"bench_{uuid4().hex}")
    root = f"{archive.store.root}/"
    archive.add(stored)
    ours = Ours(archive)
    for copy in (ours.place / "recordings", archive.directory / "rsync"):
        subprocess.run(["cp", "-a", root, copy], check=True)
    os.environ |= {"RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": str(archive.directory / "cache")}
    restic = ("restic", "--quiet", "--repo", str(archive.directory / "restic"))
    timed(*restic, "init")
    timed(*restic, "backup", root)
    archive.settle()
    print(f"{stored:,} stored: the first backup, files apart, takes {ours.run():.1f} s")
    contenders: dict[str, Callable[[], float]] = {
        "ours": ours.run,
        "rsync": partial(timed, "rsync", "-a", root, f"{archive.directory}/rsync/"),
        "restic": partial(timed, *restic, "backup", root),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        archive.add(NEW)
        for name, run in contenders.items():
            archive.settle()
            seconds[name].append(run())
    archive.close()
    for name, values in seconds.items():
        print(f"  {name:7} {', '.join(f'{value:.2f}' for value in values)} s")
    shutil.rmtree(archive.directory)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print the times, and the ratios."""
    directory = run_directory(VAR / "bench")
    stack = Stack(directory / "stack", fsync=True)
    stack.postgres.start()
    try:
        few, many = (measure(stack, directory, stored) for stored in STORED)
        for rival in ("rsync", "restic"):
            print(f"ratio backup_vs_{rival} {many[rival] / many['ours']:.2f}")
        print(f"ratio backup_growth {many['ours'] / few['ours']:.2f}")
    finally:
        stack.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
