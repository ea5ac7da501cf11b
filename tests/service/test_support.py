"""Remote support: asked for in the console, held by its service, through a real sshd."""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import keys, support
from common.queries import leaving
from daemons.support.support import Settings, Support
from devtools.process import free_port, spawn
from tests.service.test_backup import Server
from tests.waiting import until

ROOT = Path(__file__).parents[2]


class Side:
    """A CallStash that may be asked for support, and the vendor's server."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.files = directory / "support"
        self.files.mkdir()
        self.directory, self.server = directory, server
        self.offset = timedelta()
        self.said: list[tuple[str, dict[str, object]]] = []
        secret, public = keys.generate_ssh_key("box")
        keys.write_secret(directory, "support_ssh", secret)
        allowed = 'restrict,port-forwarding,permitlisten="localhost:*"'  # as docs/console.md says
        (server.directory / "authorized_keys").write_text(f"{allowed} {public}\n")
        # what engineers would log in to
        self.target = socket.create_server(("127.0.0.1", 0))
        self.service = self.start(self.host_key)

    @property
    def host_key(self) -> str:
        words = (self.server.directory / "host.pub").read_text().split()
        return f"{words[0]} {words[1]}"

    def settings(self, host_key: str) -> dict[str, Any]:
        port = self.target.getsockname()[1]
        return {"server": "127.0.0.1", "port": self.server.port, "user": "root",
                "host_key": host_key, "target": f"127.0.0.1:{port}",
                "directory": str(self.files)}  # fmt: skip

    def start(self, host_key: str) -> Support:
        settings = Settings("", **self.settings(host_key) | {"directory": self.files})
        return Support(settings, self.directory / "support_ssh", self.now, self.audit)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def audit(self, action: str, detail: dict[str, object]) -> None:
        self.said.append((action, detail))

    def step(self) -> None:
        self.service.step(lambda _: None)

    @property
    def status(self) -> support.Status:
        return support.status(self.files, self.now())


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    if os.getuid():
        pytest.skip("an sshd that lets us in needs root")
    server = Server(tmp_path / "server")
    server.start()
    made = Side(tmp_path, server)
    yield made
    made.service.close()
    made.target.close()
    server.stop()


def opened(side: Side) -> int:
    support.connect(side.files, "console:root", side.now())
    until(lambda: side.status.state == "active", 20, doing=side.step)
    port = side.status.port
    assert port is not None
    return port


def test_a_tunnel_shows_its_port_and_sessions_and_ends_when_asked(side: Side) -> None:
    assert side.status.state == "inactive"
    port = opened(side)
    assert side.said == [("support.opened", {"port": port, "server": "127.0.0.1"})]
    with socket.create_connection(("127.0.0.1", port)) as engineer:
        until(lambda: select.select([side.target], [], [], 0)[0], doing=side.step)
        ours, _ = side.target.accept()
        until(lambda: side.status.sessions == 1, doing=side.step)
        ours.sendall(b"hello")
        assert engineer.recv(5) == b"hello"
        ours.close()
    until(lambda: side.status.sessions == 0, doing=side.step)
    assert not support.connect(side.files, "sysadmin", side.now())
    assert support.disconnect(side.files)
    assert not side.service.step(lambda _: None)
    assert side.status == support.Status("inactive", "", seen_at=side.status.seen_at)
    with pytest.raises(ConnectionRefusedError):
        until(lambda: not socket.create_connection(("127.0.0.1", port)))


def test_a_tunnel_ends_by_itself_also_across_a_restart(side: Side) -> None:
    port = opened(side)
    side.service.close()
    side.offset = timedelta(hours=7, minutes=59)
    side.service = side.start(side.host_key)  # as after a crash: the hours go on
    until(lambda: side.status.state == "active", 20, doing=side.step)
    side.offset = timedelta(hours=8)
    assert not side.service.step(lambda _: None)
    assert side.said[-1] == ("support.ended", {"asked_by": "console:root", "after_hours": 8})
    assert side.status.text == "It ended by itself after 8 hours."
    assert support.wanted(side.files) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_server_with_another_key_gets_nothing(side: Side) -> None:
    old = side.host_key
    side.server.stop()
    side.server.new_key()
    side.server.start()
    side.service = side.start(old)
    support.connect(side.files, "console:root", side.now())
    until(lambda: "somebody may be in between" in side.status.text, 20, doing=side.step)
    assert side.status.port is None and side.said == []


def test_when_the_server_goes_then_it_is_tried_again(side: Side) -> None:
    opened(side)
    subprocess.run(["pkill", "-P", str(sshd(side))], check=True)  # of this test alone
    until(lambda: side.status.state == "connecting", 20, doing=side.step)
    assert "It is tried again." in side.status.text
    side.offset += timedelta(seconds=5)
    until(lambda: side.status.state == "active", 20, doing=side.step)
    assert [action for action, _ in side.said] == ["support.opened"] * 2


def sshd(side: Side) -> int:
    process = side.server._process
    assert process is not None
    return process.pid


def test_a_request_that_cant_be_read_opens_nothing(side: Side) -> None:
    for text in ("", "{}", "[]", '{"by": 1, "at": 5}', '{"by": "x", "at": "soon"}'):
        (side.files / "wanted").write_text(text)
        assert not side.service.step(lambda _: None)
        assert not (side.files / "wanted").exists()
    assert {action for action, _ in side.said} == {"support.ended"}


def test_a_status_that_nobody_refreshes_is_not_believed(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    support.report(tmp_path, support.Status("active", "", 4711, 1, now), now)
    assert support.status(tmp_path, now).port == 4711
    later = now + timedelta(minutes=1)
    assert support.status(tmp_path, later).state == "inactive"
    support.connect(tmp_path, "sysadmin", later)
    assert support.status(tmp_path, later).state == "connecting"
    (tmp_path / "status").write_text("nonsense")
    assert support.status(tmp_path, later).state == "connecting"


def test_the_service_and_the_console_without_a_database(side: Side) -> None:
    config = side.directory / "callstash.toml"
    table = "".join(f"{name} = {json.dumps(value)}\n"
                    for name, value in side.settings(side.host_key).items())  # fmt: skip
    config.write_text(
        f'[common]\ndatabase = "host=127.0.0.1 port={free_port()}"\nbroker = "amqp://x"\n'
        f'archive = "/nowhere"\n[support]\n{table}'
    )
    environment = {**os.environ, "CALLSTASH_CONFIG": str(config), "PYTHONPATH": str(ROOT),
                   "CREDENTIALS_DIRECTORY": str(side.directory)}  # fmt: skip

    def tool(*arguments: str) -> str:
        command = [sys.executable, "-m", "tools", "support", *arguments,
                   "--directory", str(side.files)]  # fmt: skip
        done = subprocess.run(
            command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
        )
        return done.stdout

    assert "is being started" in tool("connect")
    service = spawn(
        [sys.executable, "-m", "daemons.support"], log=side.directory / "log", env=environment
    )
    try:
        until(lambda: side.status.state == "active", 20)
        assert f"Port: {side.status.port}\nOpen sessions: 0" in tool("status")
        assert json.loads(tool("status", "--json"))["state"] == "active"
        assert "not in the audit log" in (side.directory / "log").read_text()
        assert "ends now" in tool("disconnect")
        assert service.wait(10) == 0
    finally:
        service.kill()
        service.wait()
    assert "Remote support: Inactive" in tool("status")


def test_without_a_server_it_says_so_and_the_request_is_gone(tmp_path: Path) -> None:
    config = tmp_path / "callstash.toml"
    config.write_text(
        '[common]\ndatabase = ""\nbroker = ""\narchive = "/nowhere"\n'
        f'[support]\ndirectory = "{tmp_path}"\n'
    )
    support.connect(tmp_path, "sysadmin", datetime.now(UTC))
    done = subprocess.run(
        [sys.executable, "-m", "daemons.support"], cwd=ROOT, check=False, capture_output=True,
        env={**os.environ, "CALLSTASH_CONFIG": str(config)},
    )  # fmt: skip
    assert done.returncode == 78
    assert not (tmp_path / "wanted").exists()
    assert "no support server is configured" in support.status(tmp_path, datetime.now(UTC)).text


def test_the_service_may_write_the_audit_log_and_nothing_else(
    db: Any, connect_as: Callable[[str], Any]
) -> None:
    ours = connect_as("support")
    leaving.audit(ours, "support", "support.ended", "", '{"after_hours": 8}')
    row = db.execute("SELECT action FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert row == ("support.ended",)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ours.execute("SELECT 1 FROM audit")
