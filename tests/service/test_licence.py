"""The housekeeper and a real licence server: activation, files, refreshes, and everything wrong."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import commands
from common.commands import Answer
from daemons.housekeeper.licences import Licences
from simulators.licence.server import Server, serving
from simulators.licence.vendor import Vendor
from tests.quiet import Quiet


class Box:
    """A box with its housekeeper's chore, whose clock is ours."""

    def __init__(self, web: Any, housekeeper: Any, server: str, key: str) -> None:
        self._web = web
        self.db = housekeeper
        self.now = datetime.now(UTC)
        self.chore = Licences(server, key, housekeeper, lambda: self.now)

    def ask(self, kind: str, **arguments: str) -> Answer:
        """Ask as the web UI does, and let the chore turn."""
        with self._web.transaction():
            command = commands.ask(self._web, "housekeeper", kind, arguments, "sysadmin")
        self.turn()
        answer = commands.wait(self._web, command, 1)
        assert answer is not None
        return answer

    def turn(self) -> None:
        """Let the chore turn."""
        self.chore.turn(Quiet())  # type: ignore[arg-type]

    def row(self, column: str) -> Any:
        """Return a column of the licence; None without one."""
        row = self.db.execute(f"SELECT {column} FROM licence").fetchone()
        return row[0] if row else None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The vendor's server."""
    with serving(Vendor(tmp_path / "vendor")) as server:
        yield server


@pytest.fixture
def box(connect_as: Callable[[str], psycopg.Connection[Any]], server: Server) -> Box:
    """A box that knows the vendor."""
    return Box(connect_as("web"), connect_as("housekeeper"), server.url, server.vendor.public_key)


def test_a_code_becomes_a_licence_and_the_same_box_gets_it_again(box: Box, server: Server) -> None:
    code = server.vendor.sell(pbxs=2)
    answer = box.ask("licence.activate", code=code.lower())
    assert answer == Answer(True, f"The licence {box.row('serial')} is in force.")
    assert box.row("pbxs") == 2
    assert box.ask("licence.activate", code=code).succeeded


def test_each_bad_code_gets_its_own_sentence(box: Box, server: Server, tmp_path: Path) -> None:
    used, expired = server.vendor.sell(), server.vendor.sell(valid_days=-1)
    server.vendor.activate(used, "another box")
    unknown = Vendor(tmp_path / "other").sell()
    for code, words in (
        ("nonsense", "38 characters"),
        (unknown, "does not know this code"),
        (used, "used on another box"),
        (expired, "has expired"),
    ):
        answer = box.ask("licence.activate", code=code)
        assert not answer.succeeded
        assert words in answer.answer
    assert box.row("serial") is None
    deeds = box._web.execute("SELECT DISTINCT actor, action FROM audit").fetchall()
    assert deeds == [("sysadmin", "licence.refused")]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("tampered", "signature is wrong"),
        ("html", "not a licence"),
        ("nonsense", "signature is wrong"),
        ("busy", "status 503"),
        ("broken", "status 500"),
        ("redirect", "status 302"),
        ("endless", "does not end"),
        ("silent", "no answer within"),
    ],
)
def test_a_server_that_misbehaves_changes_nothing(
    box: Box, server: Server, fault: str, words: str
) -> None:
    code = server.vendor.sell()
    server.fault = fault
    answer = box.ask("licence.activate", code=code)
    assert not answer.succeeded
    assert words in answer.answer
    assert box.row("serial") is None
    server.fault = ""
    assert box.ask("licence.activate", code=code).succeeded
    server.fault = fault
    before = box.row("document")
    box.now += timedelta(days=1, minutes=1)
    box.turn()
    assert words in box.row("error")
    assert box.row("document") == before
    assert box.row("failures") == 1


def test_without_a_server_a_file_does_it(
    connect_as: Callable[[str], psycopg.Connection[Any]], server: Server
) -> None:
    web, housekeeper = connect_as("web"), connect_as("housekeeper")
    box = Box(web, housekeeper, "http://127.0.0.1:1", server.vendor.public_key)
    answer = box.ask("licence.activate", code=server.vendor.sell())
    assert "can't be reached" in answer.answer
    assert "licence file" in answer.answer
    row = web.execute("SELECT id FROM box").fetchone()
    assert row is not None
    old, new = (
        json.dumps(server.vendor.sign("77", str(row[0]), pbxs, "2026-01-01", "2027-01-01"))
        for pbxs in (1, 5)
    )
    assert box.ask("licence.install", document=new).succeeded
    assert box.row("pbxs") == 5
    assert "older than the one" in box.ask("licence.install", document=old).answer
    assert "signature" in box.ask("licence.install", document=new.replace("5,", "6,")).answer
    assert box.row("pbxs") == 5


def test_it_is_refreshed_daily_and_follows_what_the_vendor_changed(
    box: Box, server: Server
) -> None:
    code = server.vendor.sell(pbxs=2)
    box.ask("licence.activate", code=code)
    asked = len(server.asked)
    box.now += timedelta(hours=23)
    box.turn()
    assert len(server.asked) == asked
    server.vendor.contracts[code].pbxs = 7
    box.now += timedelta(hours=2)
    box.turn()
    assert box.row("pbxs") == 7
    deed = box._web.execute("SELECT actor, action FROM audit ORDER BY id DESC").fetchone()
    assert deed == ("housekeeper", "licence.changed")


def test_a_cancelled_licence_stays_and_says_so_and_is_tried_again_soon(
    box: Box, server: Server
) -> None:
    code = server.vendor.sell()
    box.ask("licence.activate", code=code)
    server.vendor.contracts[code].cancelled = True
    assert "cancelled" in box.ask("licence.refresh").answer
    assert "cancelled" in box.row("error")
    server.vendor.contracts[code].cancelled = False
    box.now += timedelta(minutes=6)
    box.turn()
    assert box.row("error") is None


def test_what_is_not_configured_is_said(
    connect_as: Callable[[str], psycopg.Connection[Any]], server: Server
) -> None:
    box = Box(connect_as("web"), connect_as("housekeeper"), "", "")
    answer = box.ask("licence.activate", code=server.vendor.sell())
    assert "licence_server" in answer.answer
    assert "licence_key" in box.ask("licence.install", document="{}").answer
    assert "no licence yet" in box.ask("licence.refresh").answer
