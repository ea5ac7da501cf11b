"""Activation in the browser: the only page of a new box, and every way that it can go wrong."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

from common.db import Connection
from daemons.housekeeper.licences import Licences
from simulators.licence.server import Server, serving
from simulators.licence.vendor import Vendor
from tests.quiet import working
from tests.web.browser import Browser


@pytest.fixture
def vendor(
    tmp_path: Path, connect_as: Callable[[str], psycopg.Connection[Any]]
) -> Iterator[Server]:
    """The vendor's server, and a housekeeper that does what it is asked."""
    db = connect_as("housekeeper")
    with serving(Vendor(tmp_path / "vendor")) as server:
        key = server.vendor.public_key
        with working(Licences(server.url, key, db, lambda: datetime.now(UTC)).turn):
            yield server


@pytest.fixture
def fresh(app: Flask, db: Connection) -> Browser:
    """A browser in front of a box that was never activated."""
    db.execute("DELETE FROM licence")
    return Browser(app)


def test_a_box_without_a_licence_shows_only_the_activation_page(
    fresh: Browser, app: Flask, accounts: dict[str, str]
) -> None:
    for address in ("/", "/login", "/pbxs/10", "/settings/licence", "/audit.csv"):
        answer = fresh.get(address)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/activate")
    answer = fresh.post("/login", "/activate", pbx="admin", name="sysadmin", password="x")
    assert answer.headers["Location"] == "/activate"
    assert fresh.get("/recordings/00000000-0000-0000-0000-000000000007/audio").status_code == 403
    assert "38 character activation code" in fresh.get("/activate").text


def test_a_code_activates_it_and_the_page_is_gone(
    fresh: Browser, vendor: Server, audit: Callable[[], list[Any]], db: Connection
) -> None:
    code = vendor.vendor.sell()
    answer = fresh.post("/activate", "/activate", code=code)
    assert answer.headers["Location"] == "/login"
    assert "Log in" in fresh.get("/login").text
    assert fresh.get("/activate").headers["Location"] == "/login"
    assert audit()[0][:2] == ("nobody", "licence.activated")
    assert db.execute("SELECT count(*) FROM login_failure").fetchone() == (0,)


def test_a_wrong_code_is_kept_and_explained_and_can_not_be_guessed(
    fresh: Browser, vendor: Server, tmp_path: Path
) -> None:
    answer = fresh.post("/activate", "/activate", code="ABC")
    assert answer.status_code == 422
    assert 'value="ABC"' in answer.text
    other = Vendor(tmp_path / "other")
    for _ in range(6):
        answer = fresh.post("/activate", "/activate", code=other.sell())
        assert answer.status_code == 422
    assert "Too many attempts" in answer.text
    assert len(vendor.asked) == 5


def test_a_licence_file_does_without_network(
    fresh: Browser, vendor: Server, db: Connection
) -> None:
    row = db.execute("SELECT id::text FROM box").fetchone()
    assert row is not None
    assert row[0] in fresh.get("/activate").text
    document = json.dumps(vendor.vendor.sign("77", row[0], 4, "2026-01-01", "2027-01-01"))

    def send(content: bytes) -> Any:
        data = {"csrf": fresh.csrf("/activate"), "file": (io.BytesIO(content), "x.licence")}
        return fresh.ask("POST", "/activate", data=data)

    assert "Choose the licence file" in send(b"").text
    assert "not a licence" in send(b"\xff\0" * 100).text
    assert "not a licence" in send(b"x" * 40_000).text
    assert send(b"x" * 100_000).status_code == 413
    assert "signature is wrong" in send(document.replace("4,", "5,").encode()).text
    assert send(document.encode()).status_code == 303


def test_sysadmin_sees_the_licence_and_has_it_refreshed(
    sysadmin: Browser, vendor: Server, db: Connection
) -> None:
    text = sysadmin.get("/settings/licence").text
    assert "12100006" in text
    assert "1 of 3 in use" in text
    db.execute("DELETE FROM licence")
    code = vendor.vendor.sell(pbxs=9)
    Browser(sysadmin._client.application).post("/activate", "/activate", code=code)
    assert sysadmin.post("/settings/licence/refresh", "/settings/licence").status_code == 303
    assert "up to date" in sysadmin.get("/settings/licence").text
    vendor.vendor.contracts[code].cancelled = True
    sysadmin.post("/settings/licence/refresh", "/settings/licence")
    text = sysadmin.get("/settings/licence").text
    assert "Nothing has changed" in text
    assert "The last refresh failed" in text
    answer = sysadmin.post("/settings/licence", "/settings/licence", code="ABC")
    assert (answer.status_code, "38 characters" in answer.text) == (422, True)
