"""SIGKILL, EIO and ENOSPC at every file system call with which a recording gets into the archive.

strace injects the fault; then an undisturbed archiver runs, and the books must balance.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools.installation import ROOT, Installation
from simulators.pbx import client
from tests.drill.books import discrepancies

CALLS = (
    "openat,mkdir,mkdirat,write,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "close,fadvise64"
)
LINE = re.compile(r"^(?P<call>\w+)\(.*")

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@pytest.fixture(scope="module")
def pbx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = client.start(tmp_path_factory.mktemp("pbx"), "--scenario", "small")
    yield running
    running.stop()


@pytest.fixture
def ours(tmp_path: Path, dsn: str, broker_url: str, pbx: Any) -> Installation:
    made = Installation(
        tmp_path, dsn, broker_url, tmp_path / "companies", "[poller]\nsettle_seconds = 0\n"
    )
    made.tool("add-pbx", "--name", "Drill", "--period", "30", pbx.url, stdin=client.KEY)
    return made


def strace(ours: Installation, trace: Path, *inject: str) -> int:
    """Archive once under strace and return the exit status (negative: a signal)."""
    options = ["-f", "-y", "-qq", "-o", str(trace), "-e", f"trace={CALLS}", "-e", "signal=none"]
    return subprocess.run(
        ["strace", *options, *inject, sys.executable, "-m", "tests.drill.archive_once"],
        env={**ours.environment("archiver"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT, check=False, capture_output=True,
    ).returncode  # fmt: skip


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


def run(ours: Installation, daemon: str, module: str) -> None:
    """Run one of the drill's one-shot daemons, undisturbed."""
    subprocess.run(
        [sys.executable, "-m", f"tests.drill.{module}"],
        env=ours.environment(daemon), cwd=ROOT, check=True,
    )  # fmt: skip


def forget(ours: Installation) -> None:
    """Bring the ours back to where recordings are listed and nothing is stored."""
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
    ours: Installation, pbx: Any, tmp_path: Path
) -> None:
    run(ours, "poller", "poll_once")
    with (
        ours.connect() as connection
    ):  # two recordings in one day are one batch: quick and complete
        connection.execute(
            "DELETE FROM recording WHERE id NOT IN (SELECT id FROM recording"
            " WHERE company_id = (SELECT min(company_id) FROM recording) ORDER BY started_at LIMIT"
            " 2)"
        )
        kept = set(
            connection.execute(
                "SELECT c.name, r.remote_id FROM recording r JOIN company c ON c.id = r.company_id"
            ).fetchall()
        )
    everything = pbx.control("offered")["calls"]
    offered = [call for call in everything if (call["company"], call["file"]) in kept]
    assert len(offered) == 2
    trace = tmp_path / "trace"
    assert strace(ours, trace) == 0
    sites = calls_on_the_archive(ours, trace)
    names = Counter(call for call, _ in sites)
    assert names["fsync"] >= 6, names
    assert names["rename"] == 2, names
    hit = 0
    for call, number in sites:
        for fault in ("signal=SIGKILL", "error=EIO", "error=ENOSPC"):
            forget(ours)
            strace(ours, trace, "-e", f"inject={call}:{fault}:when={number}")
            lines = trace.read_text(errors="replace").splitlines()
            hit += any(
                str(ours.archive) in line and ("INJECTED" in line or "SIGKILL" in fault)
                for line in lines
            )
            with ours.connect() as connection:
                connection.execute(
                    "UPDATE recording SET next_try_at = now() WHERE state = 'listed'"
                )
            run(ours, "archiver", "archive_once")
            with ours.connect() as connection:
                connection.execute("UPDATE poll SET state = 'finished', finished_at = now()")
                connection.execute("UPDATE outbox SET sent_at = now()")
            assert discrepancies(ours, offered) == [], (call, number, fault)
    assert hit >= len(sites) * 2, "the faults did not reach the archive"
