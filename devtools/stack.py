"""The private PostgreSQL and RabbitMQ under one directory; the system's own are never touched.

One run owns the directory at a time (flock). What an earlier run left behind is ended.
"""

import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import IO

from devtools.postgres import Postgres
from devtools.process import end_leftover
from devtools.rabbitmq import RabbitMQ
from devtools.setup import VAR


class InUse(Exception):
    """Another run owns the directory."""


class Stack:
    """PostgreSQL and RabbitMQ under `directory`, each started when asked to."""

    def __init__(self, directory: Path, *, fsync: bool = True) -> None:
        self.directory = directory.absolute()
        self._lock = _own(self.directory)
        self.postgres = Postgres(self.directory / "postgres", fsync=fsync)
        self.rabbitmq = RabbitMQ(self.directory / "rabbitmq")

    def start(self) -> None:
        """Start both and wait until they answer."""
        self.postgres.start()
        self.rabbitmq.start()

    def stop(self) -> None:
        """Stop both cleanly and give the directory up."""
        try:
            self.rabbitmq.stop()
        finally:
            self.postgres.stop()
            self._lock.close()

    def clear(self) -> None:
        """Delete everything in the directory, which must not run."""
        _empty(self.directory)

    def wipe_rabbitmq(self) -> None:
        """Delete everything that RabbitMQ has; it must be stopped or killed."""
        self.rabbitmq.wipe()


def _own(directory: Path) -> IO[str]:
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise InUse(f"another run is using {directory}: stop it first") from error
    return lock


def _empty(directory: Path) -> None:
    for pid_file in directory.glob("**/*pid"):
        end_leftover(pid_file)
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def run_directory(parent: Path) -> Path:
    """Return a new directory for this run, after removing those of runs that are over."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob("run-*"):
        try:
            lock = _own(old)
        except InUse:
            continue
        _empty(old)
        shutil.rmtree(old, ignore_errors=True)
        lock.close()
    return parent / f"run-{os.getpid()}"


def main() -> int:
    """Start a stack, say where it is, and stop it at Ctrl-C."""
    stack = Stack(VAR / "stack")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        stack.start()
        print(f"PostgreSQL  {stack.postgres.dsn('postgres')} user=postgres")
        print(f"RabbitMQ    {stack.rabbitmq.url()}")
        print("Ctrl-C stops both.", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print()
    finally:
        stack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
