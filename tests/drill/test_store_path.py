"""SIGKILL, EIO and ENOSPC at every file system call with which a recording gets into the archive.

strace injects the fault; then an undisturbed archiver runs, and the books must balance.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from devtools.installation import ROOT, Installation
from simulators.pbx import client
from tests.drill.books import discrepancies
from tests.waiting import until

CALLS = (
    "openat,mkdir,mkdirat,write,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "close,fadvise64"
)
LINE = re.compile(r"^(?P<call>\w+)\(.*")

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@pytest.fixture(scope="module")
def pbx() -> Iterator[Any]:
    running = client.start("--scenario", "small")
    yield running
    running.stop()


@pytest.fixture
def ours(tmp_path: Path, dsn: str, broker_url: str, pbx: Any) -> Installation:
    made = Installation(
        tmp_path, dsn, broker_url, tmp_path / "companies", "[poller]\nsettle_seconds = 0\n"
    )
    made.tool("add-pbx", "--name", "Drill", "--period", "30", pbx.url, stdin=client.KEY)
    return made


class Archiver:
    """Starts an archiver in no time, under strace where wanted, until nothing is due."""

    def __init__(self, ours: Installation) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.drill.archive_once"],
            env=ours.environment("archiver"), cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *strace: str) -> int:
        """Run once and return the wait status; `strace`: options, where it is traced."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = self._said()
        with ExitStack() as tracing:
            if strace:
                tracer = subprocess.Popen(["strace", "-p", str(pid), *strace])
                tracing.callback(tracer.wait)
                status = Path(f"/proc/{pid}/status")
                until(lambda: f"TracerPid:\t{tracer.pid}\n" in status.read_text())
            os.kill(pid, signal.SIGCONT)
            return self._said()

    def _said(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def archiver(ours: Installation) -> Iterator[Archiver]:
    made = Archiver(ours)
    yield made
    made.close()


def tracing(trace: Path) -> list[str]:
    return ["-f", "-y", "-qq", "-o", str(trace), "-e", f"trace={CALLS}", "-e", "signal=none"]


def calls_on_the_archive(ours: Installation, trace: Path) -> list[tuple[str, int]]:
    """Return (system call, its number among its namesakes) for each that touched the archive."""
    seen: Counter[str] = Counter()
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        match = LINE.match(line.split(" ", 1)[1].lstrip())
        if match:
            seen[match["call"]] += 1
            if str(ours.archive) in line:
                found.append((match["call"], seen[match["call"]]))
    return found


def forget(ours: Installation) -> None:
    """Bring the archive back to where recordings are listed and nothing is stored."""
    with ours.connect() as connection:
        connection.execute("TRUNCATE recording_audio, company_usage, poll_tally, pbx_contact")
        connection.execute(
            "UPDATE recording SET state = 'listed', stored_at = NULL, next_try_at = listed_at,"
            " attempts = 0, waiting = NULL, last_error = NULL, seen_size = NULL, seen_times = 0"
        )
    shutil.rmtree(ours.archive)
    ours.archive.mkdir()


@pytest.mark.timeout(420)
def test_when_any_file_system_call_fails_or_is_the_last_then_the_books_balance(
    ours: Installation, archiver: Archiver, pbx: Any, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.drill.poll_once"],
        env=ours.environment("poller"), cwd=ROOT, check=True,
    )  # fmt: skip
    with ours.connect() as db:  # two recordings of one day are one batch: quick and complete
        db.execute("TRUNCATE recording_owner")
        db.execute(
            "DELETE FROM recording WHERE id NOT IN (SELECT id FROM recording WHERE company_id ="
            " (SELECT min(company_id) FROM recording) ORDER BY started_at LIMIT 2)"
        )
        kept = set(
            db.execute(
                "SELECT c.name, r.remote_id FROM recording r JOIN company c ON c.id = r.company_id"
            ).fetchall()
        )
    everything = pbx.control("offered")["calls"]
    offered = [call for call in everything if (call["company"], call["file"]) in kept]
    assert len(offered) == 2
    trace = tmp_path / "trace"
    assert archiver.run(*tracing(trace)) == 0
    sites = calls_on_the_archive(ours, trace)
    names = Counter(call for call, _ in sites)
    # how often is written depends on how the network cuts the download: one more is like another
    sites = [(call, number) for call, number in sites if call != "writev" or number <= 3]
    assert names["fsync"] >= 6, names
    assert names["rename"] == 2, names
    for call, number in sites:
        for fault in ("signal=SIGKILL", "error=EIO", "error=ENOSPC"):
            forget(ours)
            status = archiver.run(*tracing(trace), "-e", f"inject={call}:{fault}:when={number}")
            if fault == "signal=SIGKILL":
                assert os.WTERMSIG(status) == signal.SIGKILL, (call, number)
            else:
                lines = [line for line in trace.read_text().splitlines() if "INJECTED" in line]
                assert str(ours.archive) in lines[0], (call, number)
            with ours.connect() as db:
                db.execute("UPDATE recording SET next_try_at = now() WHERE state = 'listed'")
            assert archiver.run() == 0
            with ours.connect() as db:
                db.execute("UPDATE poll SET state = 'finished', finished_at = now()")
                db.execute("UPDATE outbox SET sent_at = now()")
            assert discrepancies(ours, offered) == [], (call, number, fault)
