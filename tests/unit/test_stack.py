"""The private servers that all other tests stand on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools import process
from devtools.stack import InUse, Stack, run_directory
from tests.waiting import until


def test_a_fresh_database_has_the_schema_and_no_rows(db: psycopg.Connection[Any]) -> None:
    assert db.execute("SELECT count(*) FROM schema_migration").fetchone() != (0,)
    assert db.execute("SELECT count(*) FROM recording").fetchone() == (0,)


def test_a_process_connects_with_the_rights_of_its_role_only(
    connect_as: Callable[[str], psycopg.Connection[Any]],
) -> None:
    poller = connect_as("poller")
    assert poller.execute("SELECT current_user").fetchone() == ("callstash_poller",)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        poller.execute("SELECT password_hash FROM account")


def test_when_postgres_is_killed_then_it_starts_again_with_what_was_committed(
    tmp_path: Path,
) -> None:
    stack = Stack(tmp_path / "stack")
    stack.postgres.start()
    try:
        with stack.postgres.connect() as db:
            db.execute("CREATE TABLE kept AS SELECT 1 AS one")
        stack.postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            stack.postgres.connect()
        stack.postgres.start()
        with stack.postgres.connect() as db:
            assert db.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        stack.stop()


def test_when_a_run_is_killed_then_its_postgres_dies_and_the_next_run_cleans_up(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, time; from pathlib import Path; from devtools.stack import *\n"
        "stack = Stack(run_directory(Path(sys.argv[1])), fsync=False); stack.postgres.start()\n"
        "print(stack.postgres.pid, flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert run.stdin is not None
    assert run.stdout is not None
    postmaster = int(run.stdout.readline())
    old = next(tmp_path.glob("run-*"))
    with pytest.raises(InUse):
        Stack(old)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdin.close()
    run.stdout.close()
    until(lambda: process.started_at(postmaster) == 0)
    assert run_directory(tmp_path) != old
    assert not old.exists()


def test_a_pid_that_another_process_has_now_is_left_alone(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text(f"{os.getpid()} {process.started_at(os.getpid()) - 1}\n")
    process.end_leftover(pid_file)
    assert not pid_file.exists()


def test_waiting_in_vain_names_the_condition() -> None:
    with pytest.raises(AssertionError, match=r"until\(lambda: 1 > 2"):
        until(lambda: 1 > 2, timeout=0.01)
