"""End users: their PBX says who they are and what they may hear, at each login."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from common.db import Connection
from simulators.pbx import client
from tests.web.browser import Browser
from tests.web.building import Archive

ADMINISTRATORS = "/settings/administrators"
WRONG = "The PBX, the user name or the password is wrong."


@pytest.fixture(scope="module")
def running() -> Iterator[client.Running]:
    simulator = client.start("--scenario", "small")
    yield simulator
    simulator.stop()


@pytest.fixture
def sim(running: client.Running, archive: Archive, db: Connection) -> Iterator[client.Running]:
    """The PBX of the archive, with two of its companies."""
    db.execute("UPDATE pbx SET url = %s", [running.url])
    for name, label in (("default", "Harbour Legal"), ("demonstration", "Demonstration")):
        db.execute(
            "INSERT INTO company (pbx_id, name, label) VALUES (%s, %s, %s)",
            [archive.pbx, name, label],
        )
    yield running
    running.control("behave")


def log_in(app: Flask, name: str, password: str = "", where: str = "10") -> tuple[Browser, Any]:
    browser = Browser(app)
    password = password or f"{name}-password"
    return browser, browser.post("/login", pbx=where, name=name, password=password)


def hears(db: Connection) -> list[Any]:
    return db.execute(
        "SELECT u.login, u.name, u.remote_id, array(SELECT name FROM company"
        " WHERE id = ANY(s.hears) ORDER BY 1) FROM session s JOIN pbx_user u ON u.id = s.user_id"
    ).fetchall()


def test_a_user_is_who_the_pbx_says_and_hears_nobody_elses_calls(
    app: Flask, sim: client.Running, db: Connection
) -> None:
    browser, answer = log_in(app, "alice")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.get("/").headers["Location"] == "/calls"
    page = browser.get("/calls").text
    assert "Alice Archer" in page
    assert hears(db) == [("alice", "Alice Archer", "238", [])]
    assert sim.control("status")["sessions"] == 0


def test_a_user_with_the_permission_hears_all_calls_of_their_companies(
    app: Flask, sim: client.Running, db: Connection
) -> None:
    log_in(app, "carol")
    assert hears(db) == [("carol", "Carol Clerk", "240", ["default"])]


def test_rights_are_read_again_at_each_login_and_end_with_the_session(
    app: Flask, sim: client.Running, db: Connection
) -> None:
    browser, _ = log_in(app, "carol")
    sim.control("permit", login="carol", permission="callrec_co", value="")
    assert hears(db)[0][3] == ["default"]
    browser.post("/logout", page="/calls")
    assert hears(db) == []
    assert browser.get("/calls").headers["Location"].startswith("/login")
    log_in(app, "carol")
    assert hears(db)[0][3] == []
    sim.control("permit", login="carol", permission="callrec_co", value="demonstration")
    log_in(app, "carol")
    assert {tuple(row[3]) for row in hears(db)} == {()}, "demonstration is not one of hers"
    sim.control("permit", login="carol", permission="callrec_co", value="yes")


@pytest.mark.parametrize("where", ["10", "Head office", "head OFFICE", "{url}", "{url}/", "{host}"])
def test_the_pbx_may_be_named_in_any_way(app: Flask, sim: client.Running, where: str) -> None:
    named = where.format(url=sim.url, host=sim.url.partition("://")[2])
    assert log_in(app, "alice", where=named)[1].status_code == 303


@pytest.mark.parametrize(
    ("name", "password", "where"),
    [
        ("alice", "Not-Hers-1", "10"),
        ("nobody", "Not-Hers-1", "10"),
        ("alice", "alice-password", "11"),
        ("alice", "alice-password", "elsewhere"),
        ("", "Not-Hers-1", "10"),
        ("alice", "x" * 5000, "10"),
        ("alice\0", "Not-Hers-1\0", "10"),
    ],
)
def test_what_is_wrong_is_not_said(
    app: Flask, sim: client.Running, db: Connection, name: str, password: str, where: str
) -> None:
    _, answer = log_in(app, name, password, where)
    assert answer.status_code == 403
    assert WRONG in answer.text
    assert hears(db) == []
    assert password not in answer.text


def test_guesses_are_throttled_with_all_other_logins(
    app: Flask, sim: client.Running, db: Connection
) -> None:
    statuses = [log_in(app, "alice", "wrong")[1].status_code for _ in range(7)]
    assert statuses[:5] == [403] * 5
    assert statuses[-1] == 429
    assert log_in(app, "alice")[1].status_code == 429, "the right password does not get around it"
    row = db.execute("SELECT count(*), count(DISTINCT name) FROM login_failure").fetchone()
    assert row is not None
    assert row[1] == 1


def test_a_pbx_that_does_not_answer_is_said_and_counts_for_nobody(
    app: Flask, sim: client.Running, db: Connection
) -> None:
    sim.control("misbehave", what="http_503", on="auth")
    _, answer = log_in(app, "alice")
    assert answer.status_code == 503
    assert "can&#39;t be asked at the moment" in answer.text
    assert db.execute("SELECT count(*) FROM login_failure").fetchone() == (0,)


def test_the_password_is_kept_nowhere(
    app: Flask, sim: client.Running, db: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(app, "alice")
    log_in(app, "alice", "Very-Secret-7")
    tables = db.execute("SELECT relname FROM pg_stat_user_tables").fetchall()
    for (table,) in tables:
        rows = db.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text ~ %s',
                          ["alice-password|Very-Secret-7"])  # fmt: skip
        assert rows.fetchone() == (0,), table
    assert "Very-Secret-7" not in caplog.text


def test_logins_are_in_the_audit_log(
    app: Flask, sim: client.Running, audit: Callable[[], list[Any]]
) -> None:
    browser, _ = log_in(app, "alice")
    log_in(app, "alice", "wrong")
    browser.post("/logout", page="/calls")
    assert audit() == [
        ("alice@pbx10", "login", ""),
        ("unknown", "login.failed", "pbx:10"),
        ("alice@pbx10", "logout", ""),
    ]


def test_a_session_of_somebody_ends_when_another_begins_in_the_same_browser(
    app: Flask, sim: client.Running, db: Connection
) -> None:
    browser, _ = log_in(app, "alice")
    browser.post("/login", page="/calls", pbx="10", name="bob", password="bob-password")
    assert [row[0] for row in hears(db)] == ["bob"]


def test_sysadmin_sees_and_ends_the_sessions_of_users(
    app: Flask, sim: client.Running, sysadmin: Browser, db: Connection
) -> None:
    browser, _ = log_in(app, "alice")
    page = sysadmin.get(ADMINISTRATORS).text
    assert "alice@pbx10" in page
    row = db.execute("SELECT id FROM session WHERE user_id IS NOT NULL").fetchone()
    assert row is not None
    sysadmin.post(f"{ADMINISTRATORS}/sessions/{row[0]}/end", page=ADMINISTRATORS)
    assert browser.get("/calls").status_code == 303
