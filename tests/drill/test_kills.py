"""Everything is killed, again and again, while the PBX misbehaves and the disk fills; the books
balance."""

import os
import random
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.installation import Installation, ToolFailed
from devtools.stack import Stack
from simulators.pbx import client
from tests.drill.books import discrepancies, is_settled
from tests.waiting import until

QUICK = "[poller]\nsettle_seconds = 0\n[archiver]\nretry_seconds = 1\nreserve_mb = 2\n"
KILLS = 72
CALLS = 2100
VICTIMS = ["poller", "archiver@1", "archiver@2", "archiver@3"] * 3 + ["postgres"] * 3 + ["rabbitmq"]
FAULTS = [
    "truncated", "reset", "http_503", "header_only", "html_200", "slow", "longer", "retry",
    "close_before_answer", "wrong_bytes", "zero_length", "garbage_json", "http_500", "not_riff",
    "truncated_no_length", "redirect", "fail_json", "endless",
]  # fmt: skip


class Drill:
    """The state of one drill: who was killed how often, and what the PBX does."""

    def __init__(self, ours: Installation, stack: Stack, pbx: Any, seed: int) -> None:
        self.ours = ours
        self.stack = stack
        self.pbx = pbx
        self.random = random.Random(seed)
        self.wiped = False
        self.kills = 0

    def pause(self, seconds: float) -> None:
        """Let things run on for a while: the instant of a kill must be anywhere."""
        wake = threading.Event()
        for _ in range(max(1, int(seconds / 0.1))):
            self.ours.tend()
            wake.wait(0.1)

    def kill(self, victim: str) -> None:
        self.kills += 1
        if victim == "postgres":
            self.stack.postgres.kill()
            self.pause(self.random.uniform(0, 0.5))
            self.stack.postgres.start()
        elif victim == "rabbitmq":
            self.stack.rabbitmq.kill()
            if not self.wiped:
                self.stack.wipe_rabbitmq()
                self.wiped = True
            self.pause(self.random.uniform(0, 0.5))
            self.stack.rabbitmq.start()
        else:
            self.ours.kill(victim)

    def ask_for_a_poll(self) -> None:
        try:
            self.ours.tool("poll-now", "10")
        except ToolFailed as error:  # PostgreSQL is just down: the next round asks again
            assert "connection" in str(error) or "database system" in str(error), error

    def round(self, number: int) -> None:
        company = self.random.choice(["default", "demonstration"])
        self.pbx.control("add_calls", company=company, count=CALLS // KILLS, ago_s=600)
        self.pbx.control("behave")
        fault = FAULTS[number % len(FAULTS)]
        self.pbx.control("misbehave", what=fault, share=0.2, on="download", seed=number)
        self.ask_for_a_poll()
        self.pause(self.random.uniform(0.2, 1.2))
        self.kill(self.random.choice(VICTIMS))


def stored(ours: Installation) -> int:
    with ours.connect() as connection:
        row = connection.execute("SELECT count(*) FROM recording_audio").fetchone()
    assert row is not None
    return int(row[0])


def waiting_for(ours: Installation, reason: str) -> bool:
    with ours.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM recording WHERE waiting::text = %s", [reason]
        ).fetchone()
    assert row is not None
    return bool(row[0])


def fill(drill: Drill, disk: Path) -> None:
    """Fill the archive's disk, see the recordings wait, and make room again."""
    hog = disk / "hog"
    drill.pbx.control("behave")
    drill.pbx.control("add_calls", company="default", count=60, ago_s=600)
    drill.ask_for_a_poll()
    with hog.open("wb") as file:

        def go_on() -> None:
            drill.ours.tend()
            status = os.statvfs(disk)  # what a killed archiver left behind gives room again
            size, room = os.fstat(file.fileno()).st_size, status.f_bavail * status.f_frsize
            with suppress(OSError):  # an archiver was quicker, or there is hardly room as it is
                os.posix_fallocate(file.fileno(), size, room - (1 << 20))

        until(lambda: waiting_for(drill.ours, "disk_full"), 60, doing=go_on)
    hog.unlink()


@pytest.mark.timeout(600)
def test_when_anything_is_killed_at_any_time_then_the_books_balance(
    small_disk: Path, synced: Stack, tmp_path: Path
) -> None:
    directory = tmp_path / "callstash"
    directory.mkdir()
    with synced.postgres.connect() as connection:
        connection.execute("CREATE DATABASE callstash")
    ours = Installation(
        directory,
        synced.postgres.dsn("callstash"),
        synced.rabbitmq.url(),
        small_disk / "companies",
        QUICK,
    )
    pbx = client.start("--scenario", "small")
    drill = Drill(ours, synced, pbx, seed=int(os.environ.get("DRILL_SEED", "1")))
    try:
        ours.tool("add-pbx", "--name", "Drill", "--period", "30", pbx.url, stdin=client.KEY)
        for name in ("poller", "archiver@1", "archiver@2", "archiver@3"):
            ours.start(name)
        for number in range(KILLS):
            drill.round(number)
            if number == KILLS // 2:
                fill(drill, small_disk)
        pbx.control("behave")
        with ours.connect() as connection:
            connection.execute("UPDATE recording SET next_try_at = now() WHERE next_try_at > now()")
            connection.execute("UPDATE pbx_contact SET retry_at = now()")
        drill.ask_for_a_poll()
        offered = pbx.control("offered")["calls"]

        def settled() -> bool:
            ours.tend()
            try:
                return is_settled(ours, len(offered))
            except psycopg.OperationalError:
                return False

        until(settled, 180)
        assert set(ours.stop().values()) == {0}
        assert discrepancies(ours, offered) == []
        assert len(offered) >= 2000
        assert drill.kills >= 60
        assert drill.wiped
    finally:
        for name in list(ours.daemons):
            ours.kill(name)
        pbx.stop()
