"""Logging in and out: sessions, their end, throttling, and what is written down."""

import hashlib
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import pytest
from argon2 import PasswordHasher
from flask import Flask

from common import passwords
from common.db import Connection
from tests.web.browser import Browser


def test_a_login_begins_a_session_of_which_the_database_knows_only_the_hash(
    app: Flask, accounts: dict[str, str], db: Connection
) -> None:
    browser = Browser(app)
    before = browser.csrf() and browser.token
    answer = browser.log_in("sysadmin", accounts["sysadmin"])
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/"
    assert browser.token != before
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-callstash=")
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert attribute in cookie
    row = db.execute("SELECT token_sha256, account, host(address) FROM session").fetchone()
    assert row == (hashlib.sha256(browser.token.encode()).digest(), "sysadmin", "192.0.2.7")
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("sysadmin", "wrong"),
        ("nobody", "wrong"),
        ("", ""),
        ("a\0b", "c\0d"),
        ("x" * 999, "y" * 9999),
    ],
)
def test_a_wrong_login_says_the_same_whatever_was_wrong(
    app: Flask, accounts: dict[str, str], name: str, password: str
) -> None:
    answer = Browser(app).log_in(name, password)
    assert answer.status_code == 403
    assert "The user name or the password is wrong." in answer.text


def test_a_name_that_does_not_exist_costs_as_much_as_one_that_does(
    app: Flask, accounts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    genuine = PasswordHasher.verify

    def count(self: PasswordHasher, hash: str, password: str) -> Any:
        checked.append(hash.rpartition("$")[0].split("$")[1:4])
        return genuine(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", count)
    Browser(app).log_in("sysadmin", "wrong")
    Browser(app).log_in("nobody", "wrong")
    assert len(checked) == 2
    assert checked[0] == checked[1]


def test_a_page_that_refreshes_itself_keeps_no_session_alive(
    sysadmin: Browser, db: Connection
) -> None:
    db.execute("UPDATE session SET seen_at = now() - interval '20 minutes'")

    def seen() -> datetime:
        row = db.execute("SELECT seen_at FROM session").fetchone()
        assert row is not None
        found: datetime = row[0]
        return found

    old = seen()
    assert sysadmin.get("/", X_CallStash_Live="1").status_code == 200
    assert seen() == old
    sysadmin.get("/")
    assert seen() > old
    db.execute("DELETE FROM session")
    assert sysadmin.get("/", X_CallStash_Live="1").status_code == 401


def test_after_logging_out_the_token_opens_nothing(
    sysadmin: Browser, db: Connection, audit: Callable[[], list[Any]]
) -> None:
    stolen = sysadmin.token
    assert sysadmin.post("/logout", page="/").status_code == 303
    assert sysadmin.token != stolen
    sysadmin.token = stolen
    assert sysadmin.get("/").status_code == 303
    assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)
    assert audit() == [("sysadmin", "login", ""), ("sysadmin", "logout", "")]


def test_a_token_that_nobody_was_given_is_nobody(app: Flask, accounts: dict[str, str]) -> None:
    for token in ("x" * 43, "", "é" * 20, "x" * 5000):
        browser = Browser(app)
        browser.token = token
        assert browser.get("/").status_code == 303


def test_logging_in_leads_back_to_the_page_that_was_wanted_and_to_no_other_host(
    app: Flask, accounts: dict[str, str]
) -> None:
    first = Browser(app).get("/companies/201?before=x")
    assert unquote(first.headers["Location"]) == "/login?next=/companies/201?before=x"
    for wanted, gets in (
        ("/companies/201?before=x", "/companies/201?before=x"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\n/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ):
        answer = Browser(app).log_in("admin", accounts["admin"], next=wanted)
        assert answer.headers["Location"] == gets, wanted


def test_failed_logins_with_a_name_are_slowed_down_from_any_address(
    app: Flask, accounts: dict[str, str], db: Connection
) -> None:
    for number in range(5):
        assert Browser(app, f"192.0.2.{number}").log_in("sysadmin", "wrong").status_code == 403
    answer = Browser(app, "192.0.2.99").log_in("sysadmin", accounts["sysadmin"])
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 2
    assert "Too many failed logins. Try again in" in answer.text
    assert Browser(app).log_in("admin", accounts["admin"]).status_code == 303
    db.execute("UPDATE login_failure SET at = at - interval '3 seconds'")
    assert Browser(app).log_in("sysadmin", "wrong").status_code == 403
    answer = Browser(app).log_in("sysadmin", "wrong")
    assert 2 < int(answer.headers["Retry-After"]) <= 4
    db.execute("UPDATE login_failure SET at = at - interval '61 seconds'")
    assert Browser(app).log_in("sysadmin", accounts["sysadmin"]).status_code == 303
    assert db.execute("SELECT count(*) FROM login_failure").fetchone() == (0,)


def test_failed_logins_from_an_address_are_slowed_down_whatever_the_name(
    app: Flask, accounts: dict[str, str], db: Connection
) -> None:
    db.execute(
        "INSERT INTO login_failure (name, address)"
        " SELECT 'user' || n, '2001:db8:1:2::/64' FROM generate_series(1, 20) n"
    )
    near, far = "2001:db8:1:2::dead", "2001:db8:1:3::1"
    assert Browser(app, near).log_in("sysadmin", accounts["sysadmin"]).status_code == 429
    assert Browser(app, far).log_in("sysadmin", accounts["sysadmin"]).status_code == 303


def test_a_rush_of_parallel_guesses_gets_no_more_tries_than_guesses_in_a_row(
    app: Flask, accounts: dict[str, str], db: Connection
) -> None:
    browsers = [Browser(app, f"192.0.2.{number}") for number in range(12)]
    for browser in browsers:
        browser.csrf()
    answers: list[int] = []

    def guess(browser: Browser) -> None:
        answers.append(browser.log_in("sysadmin", "wrong").status_code)

    threads = [threading.Thread(target=guess, args=[browser]) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # a pause of two seconds ends while the others still wait for the hash of their password
    assert answers.count(403) <= 6
    assert answers.count(403) + answers.count(429) == 12


def test_a_failed_login_is_in_the_audit_log_without_what_was_typed(
    app: Flask, accounts: dict[str, str], db: Connection, audit: Callable[[], list[Any]]
) -> None:
    Browser(app).log_in("sysadmin", "Secret-Of-Mine-1")
    Browser(app).log_in("Secret-Of-Mine-1", "x")
    assert audit() == [("sysadmin", "login.failed", ""), ("unknown", "login.failed", "")]
    assert db.execute(
        "SELECT count(*) FROM audit WHERE audit::text LIKE '%%Secret%%'"
    ).fetchone() == (0,)


def test_behind_a_unix_socket_the_address_is_the_one_that_our_web_server_names(
    app: Flask, accounts: dict[str, str], db: Connection
) -> None:
    browser = Browser(app, address="")
    data = {"csrf": browser.csrf(), "pbx": "admin", "name": "admin", "password": "x"}
    browser.ask("POST", "/login", data=data, headers={"X-Forwarded-For": "1.2.3.4, 198.51.100.9"})
    Browser(app).ask("POST", "/login", data=data, headers={"X-Forwarded-For": "1.2.3.4"})
    assert db.execute("SELECT DISTINCT host(address) FROM login_failure").fetchall() == [
        ("198.51.100.9",)
    ]


def test_a_new_password_ends_the_sessions_of_that_account(
    log_in: Callable[[str], Browser], db: Connection
) -> None:
    first, other = log_in("sysadmin"), log_in("admin")
    passwords.set_password(db, "sysadmin", "Quite-Another-12")
    assert first.get("/").status_code == 303
    assert other.get("/").status_code == 200


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Ab1", "at least 8"),
        ("alllowercase1", "upper-case"),
        ("ALLUPPERCASE1", "upper-case"),
        ("NoDigitsHere", "upper-case"),
        ("Password1", "first that anybody"),
        ("Welcome2026!", "first that anybody"),
        ("CallStash1", "first that anybody"),
        ("aaaaaaaaaaaaaaaaaaaa", "first that anybody"),
        ("x" * 1025, "at most"),
    ],
)
def test_a_password_that_is_not_good_enough_is_refused_and_says_why(
    password: str, why: str
) -> None:
    with pytest.raises(passwords.WeakPassword, match=why):
        passwords.check(password)


@pytest.mark.parametrize(
    "password", ["Tall-Heron-41", "abcdefGH1", "four words are enough", "ÄÖÜäöü12x"]
)
def test_a_good_password_is_accepted(password: str) -> None:
    passwords.check(password)
