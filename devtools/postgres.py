"""A private PostgreSQL server in one directory, reachable through a Unix socket of our own only.

The socket lies in a directory that nobody else can enter, so whoever gets there is trusted. As
root, which PostgreSQL refuses, the server runs in a user namespace where we are somebody else.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from devtools import process

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
}


class Postgres:
    """A server under `directory`; `fsync` off is for tests that do not cut the power."""

    def __init__(self, directory: Path, *, fsync: bool = True) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "log"
        self.pid_file = directory / "pid"
        self.fsync = fsync
        self.sockets: Path | None = None
        self._bin = _binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._prefix: list[str] = []

    def dsn(self, database: str) -> str:
        """Return the connection string of a database, without a user."""
        return f"host={self.sockets} port=5432 dbname={database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as superuser, in autocommit mode."""
        return psycopg.connect(self.dsn(database), user="postgres", autocommit=True)

    def start(self) -> None:
        """Start the server, creating the cluster the first time, and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        process.end_leftover(self.pid_file)
        if self.sockets is None:  # a path of a socket has at most 107 bytes: unix(7)
            self.sockets = Path(tempfile.mkdtemp(prefix="callstash-", dir=_runtime_directory()))
        if not self._prefix and os.geteuid() == 0:
            self._prefix = _someone_else()
        if self._prefix[:1] == ["setpriv"]:
            for path in (self.directory, self.sockets):
                shutil.chown(path, "postgres", "postgres")
        if not (self.data / "PG_VERSION").exists():
            self._create()
        settings = {**SETTINGS, "unix_socket_directories": str(self.sockets)}
        if not self.fsync:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = process.spawn(
            [*self._prefix, str(self._bin / "postgres"), "-D", str(self.data), *options],
            log=self.log,
            pid_file=self.pid_file,
            death_signal=signal.SIGINT,
        )
        self._wait()

    def stop(self) -> None:
        """Shut down, ending all sessions, and remove the socket directory."""
        if self._process is not None:
            process.stop(self._process, signal.SIGINT)
            self._process = None
            self.pid_file.unlink(missing_ok=True)
        if self.sockets is not None:
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.sockets = None

    def kill(self) -> None:
        """SIGKILL the postmaster and its children: what is not on disk is lost."""
        if self._process is not None:
            process.kill([self._process.pid, *process.children(self._process.pid)])
            self._process.wait()
            self._process = None

    @property
    def prefix(self) -> list[str]:
        """Return what programs of the server are started with."""
        return list(self._prefix)

    def program(self, name: str) -> Path:
        """Return the path of one of the server's own programs, such as pg_dump."""
        return self._bin / name

    @property
    def pid(self) -> int:
        """The postmaster's process id; 0 when it was stopped."""
        return self._process.pid if self._process else 0

    def _create(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        new = self.directory / "data.new"  # an interrupted initdb leaves no half cluster behind
        shutil.rmtree(new, ignore_errors=True)
        command = [*self._prefix, str(self._bin / "initdb"), "-D", str(new), "-U", "postgres"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        if not self.fsync:
            command.append("--no-sync")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"PostgreSQL's initdb failed:\n{done.stdout}{done.stderr}")
        new.rename(self.data)

    def _wait(self, timeout: float = 60.0) -> None:
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    told = process.tail(self.log)
                    raise RuntimeError(f"PostgreSQL did not start:\n{told}") from error
                time.sleep(0.03)


def _binaries() -> Path:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4])
    )
    if not versions:
        raise RuntimeError("there is no PostgreSQL server on this machine: run './dev test'")
    return versions[-1].parent


def _runtime_directory() -> str | None:
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return given if given and len(given) < 60 and os.access(given, os.W_OK) else None


def _someone_else() -> list[str]:
    """Return the command prefix under which root's PostgreSQL is not root."""
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return namespace
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
