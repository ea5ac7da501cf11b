"""Changing a PBX: what is new is checked before it is saved, and nobody overwrites unawares."""

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common import pbx_registry, seal
from common.db import Connection
from simulators.pbx import client
from tests.web.browser import Browser
from tests.web.building import Archive
from tests.web.test_add_pbx import hidden, wrong
from tests.web.test_pages import words
from webui.queries import pbx_settings


@pytest.fixture
def key(db: Connection) -> bytes:
    """The private key to which tokens are sealed."""
    private, public = seal.generate()
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('pbx', %s)", [public])
    return private


@pytest.fixture
def secure() -> Iterator[client.Running]:
    """A PBX with a certificate that it made itself."""
    with client.start("--scenario", "small", "--tls") as running:
        yield running


@pytest.fixture
def page(archive: Archive) -> str:
    """The address of the settings."""
    return f"/pbxs/{archive.pbx}/settings"


def form(browser: Browser, page: str, **entered: str) -> dict[str, str]:
    """Return the form as it is sent when nothing but `entered` is changed."""
    text = html.unescape(browser.get(page).text)
    fields = dict(re.findall(r'<input id="(\w+)" name="\w+" type="\w+" value="([^"]*)"', text))
    fields |= dict(re.findall(r'type="radio" name="(\w+)" value="(\w+)" checked', text))
    fields |= dict(re.findall(r'<select id="(\w+)"[^>]*>.*?value="([^"]*)" selected', text, re.S))
    fields |= {"revision": hidden(text)["revision"]}
    return fields | entered


def saved(db: Connection) -> tuple[Any, ...]:
    """Return the PBX as it is."""
    row = db.execute(
        "SELECT name, url, state::text, poll_minutes, poll_at::text, timezone, certificate,"
        " token_sealed, uid FROM pbx WHERE id = 10"
    ).fetchone()
    assert row is not None
    return tuple(row)


def test_what_is_changed_is_saved_noted_and_told_to_the_poller(
    sysadmin: Browser, db: Connection, page: str
) -> None:
    entered = form(sysadmin, page, name="Main site", poll_minutes="30", timezone="Europe/Paris")
    assert sysadmin.post(page, page=page, **entered).headers["Location"] == "/pbxs/10"
    assert saved(db)[:8] == (
        "Main site", "https://pbx.example.com", "active", 30, "03:00:00", "Europe/Paris", None, b"x"
    )  # fmt: skip
    text = words(sysadmin.get("/pbxs/10").text)
    assert "every 30 minutes" in text
    row = db.execute("SELECT detail FROM audit WHERE action = 'pbx.change'").fetchone()
    assert row is not None
    assert row[0] == {
        "before": {"name": "Head office", "poll_minutes": 1440, "timezone": "Europe/London"},
        "after": {"name": "Main site", "poll_minutes": 30, "timezone": "Europe/Paris"},
    }
    topics = db.execute("SELECT topic, body->>'pbx' FROM outbox").fetchall()
    assert topics == [("poller.pbx_changed.v1", "10")]


def test_suspending_is_said_on_the_page_and_can_be_taken_back(
    sysadmin: Browser, db: Connection, page: str
) -> None:
    sysadmin.post(page, page=page, **form(sysadmin, page, state="suspended"))
    assert saved(db)[2] == "suspended"
    assert "This PBX is suspended" in sysadmin.get("/pbxs/10").text
    assert sysadmin.post("/pbxs/10/poll", page=page).status_code == 409
    sysadmin.post(page, page=page, **form(sysadmin, page, state="active"))
    assert saved(db)[2] == "active"


def test_who_saves_second_is_told_and_keeps_what_was_typed(
    sysadmin: Browser, log_in: Callable[[str], Browser], db: Connection, page: str
) -> None:
    other = log_in("sysadmin")
    mine, theirs = form(sysadmin, page, name="Mine"), form(other, page, name="Theirs")
    assert other.post(page, page=page, **theirs).status_code == 303
    answer = sysadmin.post(page, page=page, **mine)
    assert answer.status_code == 422
    assert "Somebody else has changed these settings" in answer.text
    assert 'value="Mine"' in answer.text
    assert saved(db)[0] == "Theirs"
    again = mine | {"revision": hidden(answer.text)["revision"]}
    assert sysadmin.post(page, page=page, **again).status_code == 303
    assert saved(db)[0] == "Mine"


def test_who_saves_while_another_save_is_under_way_is_told_too(
    sysadmin: Browser, db: Connection, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = pbx_settings.change

    def somebody_is_faster(*arguments: Any) -> bool:
        db.execute("UPDATE pbx SET name = 'Faster', revision = revision + 1")
        return change(*arguments)

    entered = form(sysadmin, page, name="Mine")
    monkeypatch.setattr(pbx_settings, "change", somebody_is_faster)
    answer = sysadmin.post(page, page=page, **entered)
    assert "Somebody else has changed these settings" in answer.text
    assert hidden(answer.text)["revision"] == "2"
    assert saved(db)[0] == "Faster"
    assert db.execute("SELECT 1 FROM audit WHERE action = 'pbx.change'").fetchone() is None


def test_a_new_address_needs_the_token_and_is_checked_with_it(
    sysadmin: Browser, secure: client.Running, key: bytes, db: Connection, page: str
) -> None:
    answer = sysadmin.post(page, page=page, **form(sysadmin, page, url=secure.url))
    assert "Enter the token as well" in wrong(answer.text)["token"]
    assert secure.control("status")["requests"] == 0
    entered = form(sysadmin, page, url=secure.url, token=client.KEY)
    shown = sysadmin.post(page, page=page, **entered).text
    assert saved(db)[1] == "https://pbx.example.com"
    answer = sysadmin.post(page, page=page, **hidden(shown))
    assert answer.status_code == 303, wrong(answer.text)
    _, url, *_, certificate, sealed, uid = saved(db)
    assert url == secure.url
    assert certificate is not None
    assert seal.unseal(key, sealed, uid.bytes).decode() == client.KEY
    log = db.execute("SELECT detail::text FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert log is not None
    assert client.KEY not in log[0]
    assert pbx_registry.fingerprint(certificate) in log[0]


def test_a_new_token_is_checked_and_a_wrong_one_changes_nothing(
    sysadmin: Browser, secure: client.Running, key: bytes, db: Connection, page: str
) -> None:
    assert secure.certificate is not None
    pem = secure.certificate.read_text()
    db.execute("UPDATE pbx SET url = %s, certificate = %s", [secure.url, pem])
    answer = sysadmin.post(page, page=page, **form(sysadmin, page, token="wrong", name="New"))
    assert "refuses the API token" in wrong(answer.text)["token"]
    assert saved(db)[0] == "Head office"
    assert (
        sysadmin.post(page, page=page, **form(sysadmin, page, token=client.KEY)).status_code == 303
    )
    *_, certificate, sealed, uid = saved(db)
    assert certificate == pem
    assert seal.unseal(key, sealed, uid.bytes).decode() == client.KEY


def test_a_changed_certificate_is_looked_at_compared_and_pinned_without_the_token(
    sysadmin: Browser, secure: client.Running, db: Connection, page: str
) -> None:
    db.execute("UPDATE pbx SET url = %s, certificate = NULL", [secure.url])
    shown = sysadmin.post("/pbxs/10/certificate", page=page).text
    assert "CN=PBX simulator" in shown
    assert saved(db)[6] is None
    stale = hidden(shown) | {"fingerprint": "0" * 64}
    assert "another certificate" in sysadmin.post("/pbxs/10/certificate", **stale, page=page).text
    assert saved(db)[6] is None
    assert sysadmin.post("/pbxs/10/certificate", page=page, **hidden(shown)).status_code == 303
    assert saved(db)[6] is not None
    assert saved(db)[7] == b"x"
    assert secure.control("status")["requests"] == 0
    secure.stop()
    sysadmin.post("/pbxs/10/certificate", page=page)
    assert "can't be looked at" in html.unescape(sysadmin.get(page).text)


def test_the_address_of_another_pbx_is_refused(
    sysadmin: Browser, db: Connection, page: str
) -> None:
    db.execute(
        "INSERT INTO pbx (name, url, token_sealed, timezone)"
        " VALUES ('Other', 'https://other.example.com', 'x', 'UTC')"
    )
    entered = form(sysadmin, page, url="other.example.com", token="t")
    assert "The PBX Other has" in wrong(sysadmin.post(page, page=page, **entered).text)["url"]


def test_admin_reads_the_settings_as_text_without_forms(
    log_in: Callable[[str], Browser], page: str
) -> None:
    admin = log_in("admin")
    text = admin.get("/pbxs/10").text
    assert "every day at 03:00" in text
    assert page not in text
    assert text.count("<form") == 1  # to log out
    assert admin.get(page).status_code == 403


def test_older_polls_are_reached_by_pages_and_a_poll_shows_all_its_companies(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    db.execute(
        "INSERT INTO poll (pbx_id, trigger, state, started_at, finished_at) SELECT 10, 'schedule',"
        " 'finished', now(), now() FROM generate_series(1, 24)"
    )
    db.execute(
        "INSERT INTO company (pbx_id, name, label)"
        " SELECT 10, 'c' || g, 'Company ' || lpad(g::text, 3, '0') FROM generate_series(1, 230) g"
    )
    db.execute("INSERT INTO poll_company (poll_id, company_id, polled, new) SELECT 1, id, 5, 1"
               " FROM company")  # fmt: skip
    assert seen(sysadmin, "/pbxs/10", r'id="poll-(\d+)"') == [str(n) for n in range(25, 0, -1)]
    labels = seen(sysadmin, "/pbxs/10/polls/1", r">(Company \d{3})<")
    assert labels == [f"Company {n:03}" for n in range(1, 231)]
    oldest = sysadmin.get("/pbxs/10?before=2").text
    assert "All 230 companies of this poll" in oldest
    assert "data-live" not in oldest
    for bad in ("x", "", "1~2", 1 << 63):
        assert sysadmin.get(f"/pbxs/10?before={bad}").status_code == 400
    assert sysadmin.get(f"/pbxs/10?before={(1 << 63) - 1}").status_code == 200


def seen(browser: Browser, address: str, pattern: str) -> list[str]:
    """Return what a pattern finds on this page and those that follow it."""
    found = []
    base = address.partition("?")[0]
    while address:
        text = html.unescape(browser.get(address).text)
        found += re.findall(pattern, text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address = following[1] if following else ""
        assert address.startswith(base) or not address
    return found
