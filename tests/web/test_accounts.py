"""Accounts: the factory password, changing one's own, sessions, and the second factor."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from flask import Flask

from common import passwords
from common.db import Connection
from tests.web.browser import Browser
from webui import factor

NEW = "Quiet-Falcon-58"
Audit = Callable[[], list[Any]]


@pytest.fixture
def factory(app: Flask, db: Connection) -> Browser:
    """A browser in which sysadmin has just entered the factory password."""
    passwords.set_factory(db, "sysadmin")
    browser = Browser(app)
    answer = browser.log_in("sysadmin", "password", next="/pbxs/10")
    assert unquote(answer.headers["Location"]) == "/login/password?next=/pbxs/10"
    return browser


def test_the_factory_password_opens_nothing_but_the_page_that_sets_another(
    factory: Browser,
) -> None:
    for address in ("/", "/audit", "/account", "/companies/201"):
        answer = factory.get(address)
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/login/password")
    assert factory.post("/account/password", page="/login/password").status_code == 303
    assert "factory password" in factory.get("/login/password").text
    assert factory.get("/login/code").status_code == 303


def test_once_it_is_set_one_is_where_one_wanted_to_go(
    factory: Browser, app: Flask, audit: Audit, db: Connection
) -> None:
    half = factory.token
    answer = factory.post("/login/password", "/login/password", new=NEW, again=NEW, next="/pbxs/10")
    assert answer.headers["Location"] == "/pbxs/10"
    assert factory.get("/pbxs/10").status_code == 200
    assert factory.token != half
    assert db.execute("SELECT count(*) FROM session").fetchone() == (1,)
    assert audit() == [
        ("sysadmin", "password.changed", "account:sysadmin"),
        ("sysadmin", "login", ""),
    ]
    assert Browser(app).log_in("sysadmin", "password").status_code == 403
    assert Browser(app).log_in("sysadmin", NEW).headers["Location"] == "/"


@pytest.mark.parametrize(
    ("new", "again", "words"),
    [
        ("short-A1", "other", "not what you entered above"),
        ("short", "short", "at least 8 characters"),
        ("password", "password", "the password that you have now"),
        ("alllowercase1", "alllowercase1", "an upper-case letter"),
        ("Password1", "Password1", "first that anybody would guess"),
    ],
)
def test_a_bad_first_password_is_refused_beside_its_field(
    factory: Browser, new: str, again: str, words: str
) -> None:
    answer = factory.post("/login/password", "/login/password", new=new, again=again)
    assert answer.status_code == 422
    assert words in answer.text
    assert new not in re.sub(r"<p.*?</p>", "", answer.text) or new == "password"
    assert factory.get("/").status_code == 303


def test_changing_the_password_ends_all_other_sessions(
    log_in: Callable[[str], Browser], accounts: dict[str, str]
) -> None:
    one, other = log_in("admin"), log_in("admin")
    answer = one.post(
        "/account/password", "/account", current=accounts["admin"], new=NEW, again=NEW
    )
    assert answer.status_code == 303
    assert one.get("/account").status_code == 200
    assert other.get("/account").status_code == 303


def test_changing_it_needs_the_current_one_and_guessing_that_is_throttled(
    sysadmin: Browser, audit: Audit
) -> None:
    for _ in range(6):
        answer = sysadmin.post("/account/password", "/account", current="x", new=NEW, again=NEW)
        assert answer.status_code == 422
    assert "Too many failed logins" in answer.text
    assert audit().count(("sysadmin", "password.failed", "account:sysadmin")) == 5


def test_the_same_password_again_is_no_change(sysadmin: Browser, accounts: dict[str, str]) -> None:
    same = accounts["sysadmin"]
    answer = sysadmin.post("/account/password", "/account", current=same, new=same, again=same)
    assert "the password that you have now" in answer.text


def test_one_sees_and_ends_ones_own_sessions_and_nobody_elses(
    app: Flask, log_in: Callable[[str], Browser], accounts: dict[str, str], db: Connection
) -> None:
    admin, sysadmin = log_in("admin"), log_in("sysadmin")
    phone = Browser(app, "192.0.2.99")
    phone.ask(
        "POST",
        "/login",
        headers={"User-Agent": "Mozilla/5.0 (iPhone) Safari/605 " + "x" * 300},
        data={
            "csrf": phone.csrf(), "pbx": "admin", "name": "admin", "password": accounts["admin"],
        },
    )  # fmt: skip
    text = admin.get("/account").text
    assert "Safari on iPhone" in text
    assert "192.0.2.99" in text
    (mine,) = re.findall(r"/account/sessions/([0-9a-f-]{36})/end", text)
    foreign = str(
        db.execute("SELECT id FROM session WHERE account = 'sysadmin'").fetchone()[0]  # type: ignore[index]
    )
    assert admin.post(f"/account/sessions/{foreign}/end", "/account").status_code == 404
    assert sysadmin.get("/").status_code == 200
    assert admin.post(f"/account/sessions/{mine}/end", "/account").status_code == 303
    assert phone.get("/").status_code == 303
    assert "That browser is logged out" in admin.get("/account").text
    assert "That browser is logged out" not in admin.get("/account").text


def test_log_out_everywhere_else_leaves_this_browser(log_in: Callable[[str], Browser]) -> None:
    one, other, third = log_in("sysadmin"), log_in("sysadmin"), log_in("admin")
    assert one.post("/account/sessions/end-others", "/account").status_code == 303
    assert one.get("/").status_code == 200
    assert other.get("/").status_code == 303
    assert third.get("/").status_code == 200


def test_sysadmin_sees_and_ends_all_sessions(
    log_in: Callable[[str], Browser], db: Connection
) -> None:
    sysadmin, admin, other = log_in("sysadmin"), log_in("admin"), log_in("admin")
    page = "/settings/administrators"
    assert sysadmin.get(page).text.count("Chrome") == 0
    row = db.execute(
        "SELECT id FROM session WHERE account = 'admin' ORDER BY created_at LIMIT 1"
    ).fetchone()
    assert row is not None
    assert sysadmin.post(f"{page}/sessions/{row[0]}/end", page).status_code == 303
    assert admin.get("/").status_code == 303
    assert other.get("/").status_code == 200
    assert sysadmin.post(f"{page}/admin/log-out", page).status_code == 303
    assert other.get("/").status_code == 303
    assert sysadmin.post(f"{page}/sysadmin/log-out", page).status_code == 303
    assert sysadmin.get("/").status_code == 200
    assert sysadmin.post(f"{page}/root/log-out", page).status_code == 404


class App:
    """An authenticator app that has the secret."""

    def __init__(self, secret: str) -> None:
        key = factor.read(secret)
        assert key is not None
        self._totp = TOTP(key, 6, SHA1(), 30)

    def code(self, steps: int = 0) -> str:
        """Return the code of now, or of some steps later."""
        return self._totp.generate((int(time.time()) // 30 + steps) * 30).decode()


def enrol(browser: Browser, password: str) -> App:
    """Switch the second factor on."""
    text = browser.get("/account/second-factor").text
    found = re.search(r'name="secret" value="([A-Z2-7]{32})"', text)
    assert found is not None
    app = App(found[1])
    answer = browser.post(
        "/account/second-factor", "/account", secret=found[1], code=app.code(-1), password=password
    )
    assert answer.status_code == 303
    return app


def test_with_a_second_factor_the_password_alone_opens_nothing(
    app: Flask, sysadmin: Browser, accounts: dict[str, str]
) -> None:
    device = enrol(sysadmin, accounts["sysadmin"])
    browser = Browser(app)
    answer = browser.log_in("sysadmin", accounts["sysadmin"], next="/audit")
    assert unquote(answer.headers["Location"]) == "/login/code?next=/audit"
    assert browser.get("/").headers["Location"].startswith("/login/code")
    wrong = "000000" if device.code() != "000000" else "000001"
    assert browser.post("/login/code", "/login/code", code=wrong).status_code == 403
    half = browser.token
    answer = browser.post("/login/code", "/login/code", code=device.code(), next="/audit")
    assert answer.headers["Location"] == "/audit"
    assert browser.get("/audit").status_code == 200
    assert browser.token != half


def test_a_code_works_once_also_in_another_browser(
    app: Flask, sysadmin: Browser, accounts: dict[str, str]
) -> None:
    device = enrol(sysadmin, accounts["sysadmin"])
    code = device.code()
    for expected in (303, 403):
        browser = Browser(app)
        browser.log_in("sysadmin", accounts["sysadmin"])
        assert browser.post("/login/code", "/login/code", code=code).status_code == expected


def test_codes_can_not_be_guessed_by_logging_in_again_and_again(
    app: Flask, sysadmin: Browser, accounts: dict[str, str]
) -> None:
    device = enrol(sysadmin, accounts["sysadmin"])
    statuses = []
    for _ in range(6):
        browser = Browser(app)
        browser.log_in("sysadmin", accounts["sysadmin"])
        page = browser.get("/login/code")
        if page.status_code == 200:
            statuses.append(browser.post("/login/code", "/login/code", code="1").status_code)
    assert statuses == [403] * 5
    answer = Browser(app).log_in("sysadmin", accounts["sysadmin"])
    assert (answer.status_code, device.code() != "") == (429, True)


def test_the_second_factor_is_on_only_with_a_right_code_and_password(
    sysadmin: Browser, accounts: dict[str, str], db: Connection
) -> None:
    secret = factor.generate()
    good, page = App(secret).code(), "/account/second-factor"
    for code, password, words in (
        ("12345", accounts["sysadmin"], "not the code"),
        (good, "wrong", "not your password"),
    ):
        answer = sysadmin.post(page, "/account", secret=secret, code=code, password=password)
        assert answer.status_code == 422
        assert words in answer.text
        assert secret[:4] in answer.text
    assert sysadmin.post(page, "/account", secret="short", code=good).status_code == 400
    assert db.execute("SELECT totp_sealed FROM account").fetchall() == [(None,), (None,)]


def test_it_is_switched_off_with_password_and_code(
    app: Flask, sysadmin: Browser, accounts: dict[str, str], audit: Audit, db: Connection
) -> None:
    device = enrol(sysadmin, accounts["sysadmin"])
    off, page = "/account/second-factor/off", "/account/second-factor"
    password = accounts["sysadmin"]
    assert sysadmin.post(off, page, code=device.code(), password="x").status_code == 422
    assert sysadmin.post(off, page, code="1", password=password).status_code == 422
    assert sysadmin.post(off, page, code=device.code(), password=password).status_code == 303
    assert Browser(app).log_in("sysadmin", password).headers["Location"] == "/"
    assert ("sysadmin", "factor.off", "account:sysadmin") in audit()


def test_the_secret_is_sealed_in_the_database(
    sysadmin: Browser, accounts: dict[str, str], db: Connection
) -> None:
    text = sysadmin.get("/account/second-factor").text
    assert re.search(r"<path d=\"M\d", text)
    enrol(sysadmin, accounts["sysadmin"])
    row = db.execute("SELECT totp_sealed FROM account WHERE name = 'sysadmin'").fetchone()
    assert row is not None
    assert len(row[0]) == 32 + 20 + 16
