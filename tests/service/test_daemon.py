"""The life of a daemon as systemd and its operator see it: real processes, a real notify socket."""

import base64
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import __version__
from common.messages import PollerPbxChanged
from common.outbox import send
from tests.waiting import until

ROOT = Path(__file__).parents[2]
Start = Callable[..., "Process"]


class Process:
    """A daemon with the sockets that systemd would give it."""

    def __init__(self, directory: Path, config: str, *command: str) -> None:
        (directory / "callstash.toml").write_text(config)
        (directory / "pbx.key").write_text(base64.b64encode(bytes(range(32))).decode())
        (directory / "companies").mkdir(exist_ok=True)
        self.log = directory / "log"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = directory / f"notify-{os.urandom(4).hex()}"
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.said: list[str] = []
        environment = {
            **os.environ,
            "CALLSTASH_CONFIG": str(directory / "callstash.toml"),
            "CREDENTIALS_DIRECTORY": str(directory),
            "NOTIFY_SOCKET": str(path),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command], env=environment, cwd=ROOT, stdout=log, stderr=log
            )

    def has_said(self, what: str) -> bool:
        with suppress(BlockingIOError):
            while True:
                self.said += self._socket.recv(4096).decode().splitlines()
        return what in self.said

    def text(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._socket.close()


def config(dsn: str, broker: str, directory: Path, more: str = "") -> str:
    common = f'database = "{dsn}"\nbroker = "{broker}"\narchive = "{directory}/companies"\n'
    return "[common]\n" + common + more


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def run(text: str, *command: str) -> Process:
        started.append(Process(tmp_path, text, *command))
        return started[-1]

    yield run
    for process in started:
        process.close()


@pytest.mark.parametrize("command", [("daemons.poller",), ("daemons.archiver", "1")])
def test_a_daemon_is_ready_lives_says_what_it_does_and_stops_when_asked(
    start: Start, dsn: str, broker_url: str, tmp_path: Path, db: Any, command: tuple[str, ...]
) -> None:
    daemon = start(config(dsn, broker_url, tmp_path), *command)
    until(lambda: daemon.has_said("READY=1"))
    until(lambda: daemon.has_said("WATCHDOG=1"))
    until(lambda: any(line.startswith("STATUS=waiting for") for line in daemon.said))
    row = db.execute("SELECT name, version, doing FROM daemon_status").fetchone()
    assert row[0] == command[0].split(".")[1] + ("@1" if command[1:] else "")
    assert row[1] == __version__
    assert row[2].startswith("waiting for")
    assert daemon.stop() == 0
    assert daemon.has_said("STOPPING=1")


def test_a_daemon_works_without_rabbitmq(
    start: Start, dsn: str, tmp_path: Path, db: psycopg.Connection[Any]
) -> None:
    daemon = start(config(dsn, "amqp://127.0.0.1:1/", tmp_path), "daemons.poller")
    until(lambda: daemon.has_said("READY=1"))
    with db.transaction():
        send(db, PollerPbxChanged(10))
    until(lambda: "RabbitMQ is gone" in daemon.text())
    daemon.said.clear()
    until(lambda: daemon.has_said("WATCHDOG=1"))
    assert db.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL").fetchone() == (1,)
    assert daemon.stop() == 0


def test_a_daemon_ends_when_postgresql_does_not_answer(start: Start, tmp_path: Path) -> None:
    daemon = start(config("host=/nowhere dbname=x", "amqp://x", tmp_path), "daemons.poller")
    assert daemon.process.wait(20) == 1
    assert not daemon.has_said("READY=1")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            "[poller]\nsettle_second = 1",
            "unknown key 'settle_second'; did you mean 'settle_seconds'?",
        ),
        ("[poller]\nsettle_seconds = 'x'", "must be of type int"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence_and_status_78(
    start: Start, dsn: str, tmp_path: Path, more: str, sentence: str
) -> None:
    daemon = start(config(dsn, "amqp://x", tmp_path, more), "daemons.poller")
    assert daemon.process.wait(20) == 78
    assert sentence in daemon.text()
    assert "Traceback" not in daemon.text()


def test_another_schema_is_status_78(start: Start, dsn: str, tmp_path: Path, db: Any) -> None:
    db.execute("DELETE FROM schema_migration")
    daemon = start(config(dsn, "amqp://x", tmp_path), "daemons.poller")
    assert daemon.process.wait(20) == 78
    assert "run 'callstash migrate'" in daemon.text()


def test_a_second_one_of_the_same_instance_is_refused(
    start: Start, dsn: str, tmp_path: Path, broker_url: str
) -> None:
    first = start(config(dsn, broker_url, tmp_path), "daemons.archiver", "1")
    until(lambda: first.has_said("READY=1"))
    second = start(config(dsn, broker_url, tmp_path), "daemons.archiver", "1")
    assert second.process.wait(60) == 78
    assert "another archiver@1 is running" in second.text()
    third = start(config(dsn, broker_url, tmp_path), "daemons.archiver", "2")
    until(lambda: third.has_said("READY=1"))


@pytest.mark.parametrize("module", ["daemons.poller", "daemons.archiver", "tools"])
def test_every_entry_point_says_its_version(module: str) -> None:
    output = subprocess.check_output(
        [sys.executable, "-m", module, "--version"], text=True, cwd=ROOT
    )
    assert __version__ in output


def test_the_configuration_can_be_checked_without_starting(
    start: Start, dsn: str, tmp_path: Path
) -> None:
    daemon = start(config(dsn, "amqp://x", tmp_path), "daemons.poller", "--check")
    assert daemon.process.wait(20) == 0
    assert "the configuration is good" in daemon.text()


def test_a_hung_step_starves_the_watchdog(
    start: Start, dsn: str, tmp_path: Path, broker_url: str, db: Any
) -> None:
    """Held up by a lock that somebody keeps: systemd sees no sign of life and would restart it."""
    daemon = start(config(dsn, broker_url, tmp_path), "daemons.poller")
    until(lambda: daemon.has_said("WATCHDOG=1"))
    with db.transaction():
        db.execute("LOCK TABLE pbx IN ACCESS EXCLUSIVE MODE")
        until(lambda: _waits_for_lock(dsn), 15)
        daemon.has_said("")
        daemon.said.clear()
        until(lambda: daemon.process.poll() is not None, 20)  # lock_timeout ends it
        assert not daemon.has_said("WATCHDOG=1")
    assert daemon.process.returncode == 1


def _waits_for_lock(dsn: str) -> bool:
    with psycopg.connect(dsn, user="postgres") as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return bool(row and row[0])
