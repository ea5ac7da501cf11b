"""Restoring: an empty machine, a backup and the recovery kit make the CallStash that there was.

Nothing is changed before it is known that the catalogue is whole and the recovery kit opens it.
"""

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from common import backup, db, keys, rowfile, seal
from common.errors import ConfigError
from common.store import Store
from tools import console

ROLES = ("poller", "archiver", "web", "housekeeper", "notifier", "raidmon", "backupd",
         "support", "metrics")  # fmt: skip
FOREIGN = 23  # rsync's status where some files could not be copied
AFTER = (
    "DELETE FROM backup_progress",
    "UPDATE recording_audio SET written_by = '0'",  # transactions are counted anew
    "DELETE FROM backup_rows",
    "DELETE FROM backup_changed",
    "DELETE FROM daemon_status",
    "DELETE FROM session",
    "UPDATE backup_run SET state = 'failed', finished_at = now(), error = 'It was interrupted.'"
    " WHERE state = 'running'",
    "UPDATE poll_schedule SET next_poll_at = now()",
    "INSERT INTO audit (actor, action, subject) VALUES ('console', 'box.restored', '')",
)

MARK, BEGUN, COPYING = "callstash_restore", "begun", "copying"

Say = Callable[[str], None]


class Restore:
    """Brings one backup back; `target` is what rsync takes, local or remote."""

    def __init__(
        self, target: str, rsh: str, connection: db.Connection, dsn: str, say: Say
    ) -> None:
        self._target = target.rstrip("/")
        self._dsn = dsn  # of that connection, as PostgreSQL's programs take it
        self._rsh = rsh
        self._db = connection
        self._say = say

    def run(self, master: bytes, credentials: Path, archive: Path) -> int:
        """Restore everything and return how many recordings are missing. Raises ConfigError.

        What was cut off goes on: with the recordings where the database was back, else from the
        beginning.
        """
        begun = time.monotonic()
        state = self._state()
        if state != COPYING:
            with tempfile.TemporaryDirectory(prefix="callstash-restore-") as name:
                catalogue = self._catalogue(Path(name))
                self._open(catalogue, master)
                self._begin(state)
                self._database(catalogue)
        else:
            self._say("the database is back: going on with the recordings")
        self._credentials(master, credentials)
        missing = self._recordings(archive)
        self._db.execute(f"DROP SCHEMA {MARK} CASCADE")
        self._say(f"restored in {time.monotonic() - begun:.0f} s")
        return missing

    def _state(self) -> str:
        """Return how far a restore that was cut off had come; empty: there was none."""
        if self._db.execute("SELECT to_regclass(%s)", [f"{MARK}.progress"]).fetchone() != (None,):
            row = self._db.execute(f"SELECT state FROM {MARK}.progress").fetchone()
            assert row is not None
            return str(row[0])
        if self._db.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchone():
            raise ConfigError("the database is not empty: restore into a new one")
        return ""

    def _begin(self, state: str) -> None:
        """Note that a restore runs; what one that was cut off left of a database goes."""
        with self._db.transaction():
            if state == BEGUN:
                self._say("a restore was cut off: beginning again")
                self._db.execute("DROP SCHEMA public CASCADE")
                self._db.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
                self._db.execute("GRANT USAGE ON SCHEMA public TO public")
            else:
                self._db.execute(f"CREATE SCHEMA {MARK}")
                self._db.execute(f"CREATE TABLE {MARK}.progress AS SELECT '{BEGUN}' AS state")

    def _rsync(self, *arguments: str, may_lack: bool = False) -> None:
        command = ["rsync", f"--rsh={self._rsh}", *arguments]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode and not (may_lack and done.returncode == FOREIGN):
            said = next(iter(done.stderr.strip().splitlines()), "it says nothing")
            raise ConfigError(f"rsync failed (status {done.returncode}): {said}")

    def _catalogue(self, directory: Path) -> Path:
        """Fetch the newest catalogue that is complete, and check that it is whole."""
        marks = directory / "marks"
        self._rsync(
            "--recursive", "--prune-empty-dirs", "--include=/*/", "--include=/*/COMPLETE",
            "--exclude=*", f"{self._target}/catalogue/", f"{marks}/",
        )  # fmt: skip
        names = sorted(path.parent.name for path in marks.glob("*/COMPLETE"))
        if not names:
            raise ConfigError(f"{self._target} has no complete catalogue: it is no backup")
        self._say(f"catalogue {names[-1]}")
        found = directory / "catalogue"
        self._rsync("--recursive", f"{self._target}/catalogue/{names[-1]}/", f"{found}/")
        for line in (found / "SHA256SUMS").read_text().splitlines():
            digest, _, name = line.partition("  ")
            with (found / Path(name).name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise ConfigError(f"{name} in catalogue {names[-1]} is damaged")
        self._rows(found)
        return found

    def _rows(self, catalogue: Path) -> None:
        """Fetch the files with the rows of recordings."""
        files = rowfile.listed(catalogue)
        names = catalogue / "names"
        names.write_text("".join(f"{file.name}\n" for file in files))
        if files:
            self._rsync(f"--files-from={names}", f"{self._target}/", f"{catalogue}/", may_lack=True)
        for file in files:
            if not rowfile.is_whole(catalogue / file.name, file):
                raise ConfigError(f"{file.name} is missing or damaged")

    def _open(self, catalogue: Path, master: bytes) -> None:
        """See that the recovery kit belongs to this backup."""
        command = ["pg_restore", "--data-only", "--table=sealing_key", "--file=-"]
        said = subprocess.run(
            [*command, str(catalogue / "db.dump")], capture_output=True, text=True, check=False
        )
        if said.returncode:
            raise ConfigError(f"the catalogue can't be read: {said.stderr.strip()[:300]}")
        if seal.public_key(master).hex() not in said.stdout:
            raise ConfigError("this master key is not the one of this backup")

    def _database(self, catalogue: Path) -> None:
        for role in ROLES:
            if not self._db.execute(
                "SELECT 1 FROM pg_roles WHERE rolname = %s", [f"callstash_{role}"]
            ).fetchone():
                self._db.execute(f"CREATE ROLE callstash_{role} LOGIN")
        self._say("restoring the database")
        self._restore(catalogue, "pre-data", "data")
        for file in rowfile.listed(catalogue):
            with self._db.transaction():
                rowfile.load(self._db, catalogue / file.name)
        self._restore(catalogue, "post-data")
        listed = json.loads((catalogue / "COUNTS").read_text())
        row = self._db.execute("SELECT count(*) FROM recording_audio").fetchone()
        if row is None or row[0] != listed["recordings"]:
            raise ConfigError(f"the database that came back has not {listed['recordings']} calls")
        db.migrate(self._db)
        with self._db.transaction():
            for query in (*AFTER, f"UPDATE {MARK}.progress SET state = '{COPYING}'"):
                self._db.execute(query)

    def _restore(self, catalogue: Path, *sections: str) -> None:
        command = [
            "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction",
            *(f"--section={section}" for section in sections), f"--dbname={self._dsn}",
            str(catalogue / "db.dump"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        if done.returncode:
            raise ConfigError(f"the database can't be restored: {done.stderr.strip()[:500]}")

    def _credentials(self, master: bytes, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (directory / "master.key").exists():
            keys.write_credential(directory, "master.key", master)
        for name, sealed in self._db.execute("SELECT name, sealed FROM sealed_credential"):
            if not (directory / name).exists():
                secret = seal.unseal(master, bytes(sealed), backup.credential(name))
                keys.write_secret(directory, name, secret)

    def _recordings(self, archive: Path) -> int:
        """Fetch the files that the database lists; return how many are not there as they should."""
        archive.mkdir(parents=True, exist_ok=True)
        store = Store(archive)
        row = self._db.execute("SELECT id FROM box").fetchone()
        assert row is not None
        store.mark(row[0])
        query = (
            "SELECT r.company_id, r.started_at, r.id, a.generation, a.file_size FROM recording r"
            " JOIN recording_audio a ON a.recording_id = r.id"
        )
        with tempfile.NamedTemporaryFile(prefix="callstash-restore-") as names:
            for company, started, recording, generation, _ in self._db.execute(query):
                path = store.path(company, started, recording, generation)
                names.write(os.fsencode(path.relative_to(archive)) + b"\0")
            names.flush()
            self._say("restoring the recordings")
            self._rsync(
                "--times", "--from0", f"--files-from={names.name}", "--chmod=D2770,F640",
                f"{self._target}/recordings/", f"{archive}/", may_lack=True,
            )  # fmt: skip
        missing = whole = 0
        for company, started, recording, generation, size in self._db.execute(query):
            path = store.path(company, started, recording, generation)
            if path.is_file() and path.stat().st_size == size:
                whole += 1
            else:
                missing += 1
        self._say(f"{whole:,} recordings are back, {missing:,} are missing")
        return missing


@click.command("restore")
@click.argument("target")
@click.option("--master-key", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--credentials", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--rsh", default="ssh", show_default=True, help="How rsync reaches a server.")
def restore_backup(target: str, master_key: Path, credentials: Path, rsh: str) -> None:
    """Bring the CallStash back whose backup is at TARGET: a directory, or user@host:/path.

    The database must be empty. --master-key names the recovery kit; the keys of the daemons are
    written to --credentials.
    """
    settings = console.settings()
    master = keys.read_credential(master_key)
    with console.database() as connection:
        dsn = f"{settings.database} user={settings.owner}"
        work = Restore(target, rsh, connection, dsn, click.echo)
        if work.run(master, credentials, settings.archive):
            raise ConfigError("not all recordings are back: the housekeeper fetches what it can")
