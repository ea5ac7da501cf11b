"""Adding a PBX: everything is checked with a real PBX simulator before anything is saved."""

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from common import pbx_registry, seal
from common.db import Connection
from simulators.pbx import client, tls
from tests.web.browser import Browser
from tests.web.building import Archive
from webui import pbx_check

FORM = {
    "name": "Branch",
    "token": client.KEY,
    "keep_months": "24",
    "poll_minutes": "360",
    "poll_at": "04:30",
    "timezone": "Europe/London",
}


@pytest.fixture
def key(db: Connection) -> bytes:
    """The private key to which tokens are sealed."""
    private, public = seal.generate()
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('pbx', %s)", [public])
    return private


@pytest.fixture
def sim() -> Iterator[client.Running]:
    """A PBX without encryption."""
    with client.start("--scenario", "small") as running:
        yield running


@pytest.fixture
def secure() -> Iterator[client.Running]:
    """A PBX with a certificate that it made itself."""
    with client.start("--scenario", "small", "--tls") as running:
        yield running


class Impostor:
    """A server with a certificate of its own that remembers what it was told."""

    def __init__(self, port: int, directory: Path) -> None:
        self.heard: list[bytes] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_error(500)

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls.certificate(directory))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[[str], Impostor]]:
    """Put an impostor in the place of a PBX that has stopped."""
    running: list[Impostor] = []

    def begin(url: str) -> Impostor:
        (tmp_path / "impostor").mkdir()
        running.append(Impostor(urlsplit(url).port or 0, tmp_path / "impostor"))
        return running[0]

    yield begin
    for each in running:
        each.server.shutdown()
        each.server.server_close()


def wrong(page: str) -> dict[str, str]:
    """Return what a page says is wrong, by field."""
    return dict(re.findall(r'class="wrong" id="(\w+)-wrong">([^<]+)<', page))


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of the form with a certificate."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


def added(db: Connection) -> list[Any]:
    """Return the PBXs apart from the one of the archive."""
    return db.execute(
        "SELECT id, uid, name, url, certificate, token_sealed, keep_months, poll_minutes,"
        " poll_at::text, timezone, state::text FROM pbx WHERE name <> 'Head office'"
    ).fetchall()


def test_a_pbx_that_accepts_the_token_is_added_with_what_was_entered(
    sysadmin: Browser, sim: client.Running, key: bytes, db: Connection
) -> None:
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", url=f"{sim.url}/", **FORM)
    ((id, uid, *rest),) = added(db)
    assert answer.headers["Location"] == f"/pbxs/{id}"
    assert rest[:3] == ["Branch", sim.url, None]
    assert rest[4:] == [24, 360, "03:00:00", "Europe/London", "active"]
    assert seal.unseal(key, rest[3], uid.bytes).decode() == client.KEY
    page = sysadmin.get(f"/pbxs/{id}").text
    assert "Branch was added. Its companies: default, demonstration." in page
    assert client.KEY not in page
    topics = db.execute("SELECT topic, body->>'pbx' FROM outbox").fetchall()
    assert topics == [("poller.pbx_changed.v1", str(id))]
    action, subject, detail = db.execute(
        "SELECT action, subject, detail::text FROM audit ORDER BY id DESC LIMIT 1"
    ).fetchone() or ("", "", "")
    assert (action, subject) == ("pbx.add", f"pbx:{id}")
    assert client.KEY not in detail


def test_the_time_of_day_counts_for_a_daily_poll(
    sysadmin: Browser, sim: client.Running, key: bytes, db: Connection
) -> None:
    sysadmin.post("/pbxs/add", page="/pbxs/add", url=sim.url, **FORM | {"poll_minutes": "1440"})
    assert added(db)[0][8] == "04:30:00"


@pytest.mark.parametrize(
    ("fault", "field", "words"),
    [
        ("revoke_key", "token", "refuses the API token"),
        ("forbid", "token", "callrec_dl"),
        ("html_200", "url", "a web page that is not JSON"),
        ("http_500", "url", "has an error"),
        ("redirect", "url", "final address"),
        ("stall", "url", "did not answer within"),
        ("stop", "url", "no connection"),
    ],
)
def test_what_the_pbx_refuses_is_said_beside_the_field_and_nothing_is_saved(
    sysadmin: Browser, sim: client.Running, key: bytes, db: Connection,
    monkeypatch: pytest.MonkeyPatch, fault: str, field: str, words: str,
) -> None:  # fmt: skip
    if fault == "stop":
        sim.stop()
    elif fault == "forbid":
        sim.control("forbid", permission="callrec_dl")
    elif fault == "revoke_key":
        sim.control(fault)
    else:
        sim.control("misbehave", what=fault, on="auth")
    monkeypatch.setattr(pbx_check, "SECONDS", 1.0)
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", url=sim.url, **FORM)
    assert answer.status_code == 422
    assert words in wrong(answer.text)[field]
    assert set(wrong(answer.text)) == {field}
    assert client.KEY not in answer.text
    assert 'value="Branch"' in answer.text
    assert added(db) == []
    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", " ", "Enter a name"),
        ("name", "x" * 101, "100 are the most"),
        ("url", "", "Enter the address"),
        ("url", "ftp://pbx.example.com", "Begin with https://"),
        ("url", "https://me:secret@pbx.example.com", "Leave out the user name"),
        ("url", "https://pbx.example.com/admin", "Leave out what follows"),
        ("url", "javascript:alert(1)", "not an address"),
        ("url", "https://PBX.example.com:443/", "Head office has this address"),
        ("token", "", "Enter the API token"),
        ("token", "naïve", "not an API token"),
        ("token", "x" * 2000, "1024 are the most"),
        ("keep_months", "1", "Choose one"),
        ("poll_minutes", "1", "Choose one"),
        ("timezone", "Mars/Olympus", "Choose one"),
        ("timezone", "../../etc/passwd", "Choose one"),
    ],
)
def test_a_wrong_entry_is_named_beside_its_field(
    sysadmin: Browser, db: Connection, field: str, value: str, words: str
) -> None:
    answer = sysadmin.post(
        "/pbxs/add", page="/pbxs/add", **FORM | {"url": "https://127.0.0.1:1", field: value}
    )
    assert answer.status_code == 422
    assert words in wrong(answer.text)[field]
    assert added(db) == []


def test_a_time_that_is_none_matters_for_daily_polls(sysadmin: Browser) -> None:
    entered = FORM | {"url": "https://127.0.0.1:1", "poll_at": "noon", "poll_minutes": "1440"}
    assert (
        "such as 03:00"
        in wrong(sysadmin.post("/pbxs/add", page="/pbxs/add", **entered).text)["poll_at"]
    )


def test_a_certificate_of_its_own_is_shown_compared_and_pinned(
    sysadmin: Browser, secure: client.Running, key: bytes, db: Connection
) -> None:
    shown = sysadmin.post("/pbxs/add", page="/pbxs/add", url=secure.url, **FORM).text
    assert secure.certificate is not None
    pem = secure.certificate.read_text()
    fingerprint = pbx_registry.fingerprint(pem)
    assert pbx_check.pairs(fingerprint) in shown.replace("<wbr>", "")
    assert "CN=PBX simulator" in shown
    assert client.KEY not in shown
    assert added(db) == []
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", **hidden(shown))
    assert answer.status_code == 303, wrong(answer.text)
    ((_, uid, *rest),) = added(db)
    assert ssl.PEM_cert_to_DER_cert(rest[2]) == ssl.PEM_cert_to_DER_cert(pem)
    assert rest[4] == 24
    assert seal.unseal(key, rest[3], uid.bytes).decode() == client.KEY


def test_a_wrong_token_shows_only_after_the_certificate_was_accepted(
    sysadmin: Browser, secure: client.Running, key: bytes, db: Connection
) -> None:
    shown = sysadmin.post(
        "/pbxs/add", page="/pbxs/add", url=secure.url, **FORM | {"token": "wrong"}
    ).text
    assert secure.control("status")["requests"] == 0
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", **hidden(shown))
    assert "refuses the API token" in wrong(answer.text)["token"]
    assert added(db) == []


def test_a_certificate_swapped_between_look_and_accept_gets_no_token(
    sysadmin: Browser, secure: client.Running, key: bytes, db: Connection,
    impostor: Callable[[str], Impostor],
) -> None:  # fmt: skip
    shown = sysadmin.post("/pbxs/add", page="/pbxs/add", url=secure.url, **FORM).text
    secure.stop()
    other = impostor(secure.url)
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", **hidden(shown))
    assert "another certificate than the one that you compared" in answer.text
    assert other.heard == []
    assert added(db) == []
    assert hidden(answer.text)["fingerprint"] != hidden(shown)["fingerprint"]


def test_what_another_browser_was_given_carries_no_token(
    sysadmin: Browser, log_in: Callable[[str], Browser], secure: client.Running, key: bytes,
    db: Connection,
) -> None:  # fmt: skip
    kept = hidden(sysadmin.post("/pbxs/add", page="/pbxs/add", url=secure.url, **FORM).text)
    stolen = {name: value for name, value in kept.items() if name != "csrf"}
    answer = log_in("sysadmin").post("/pbxs/add", page="/pbxs/add", **stolen)
    assert "Enter the API token" in wrong(answer.text)["token"]
    moved = sysadmin.post("/pbxs/add", page="/pbxs/add", **kept | {"url": "https://127.0.0.1:1"})
    assert "Enter the API token" in wrong(moved.text)["token"]
    for text in ("", "x", "é", "A" * 9, "A" * 200):
        altered = sysadmin.post("/pbxs/add", page="/pbxs/add", **kept | {"carried": text})
        assert "Enter the API token" in wrong(altered.text)["token"]
    assert added(db) == []


def test_the_same_address_is_refused_also_when_two_add_it_at_once(
    sysadmin: Browser, sim: client.Running, key: bytes, db: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ask = pbx_check.check

    def somebody_is_faster(*arguments: Any) -> Any:
        db.execute(
            "INSERT INTO pbx (name, url, token_sealed, timezone) VALUES ('Faster', %s, 'x', 'UTC')",
            [sim.url],
        )
        return ask(*arguments)

    monkeypatch.setattr(pbx_check, "check", somebody_is_faster)
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", url=sim.url, **FORM)
    assert "with this address already" in wrong(answer.text)["url"]
    assert [row[2] for row in added(db)] == ["Faster"]
    assert db.execute("SELECT 1 FROM audit WHERE action = 'pbx.add'").fetchone() is None


def test_the_form_begins_with_what_fits_most(sysadmin: Browser, archive: Archive) -> None:
    page = sysadmin.get("/pbxs/add").text
    for name, value in (("keep_months", "0"), ("poll_minutes", "1440")):
        assert f'name="{name}" value="{value}" checked' in page
    assert 'value="03:00"' in page
    assert '<option value="Europe/London" selected>' in page


def test_a_certificate_that_has_expired_is_said_to_be_and_not_accepted(
    sysadmin: Browser, key: bytes, db: Connection, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, impostor: Callable[[str], Impostor],
) -> None:  # fmt: skip
    monkeypatch.setattr(tls, "datetime", LongAgo)
    old = impostor("https://127.0.0.1:0")
    url = f"https://127.0.0.1:{old.server.server_port}"
    shown = sysadmin.post("/pbxs/add", page="/pbxs/add", url=url, **FORM).text
    assert "not now: no connection will work" in shown
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", **hidden(shown))
    assert "expired" in wrong(answer.text)["url"]
    assert old.heard == []
    assert added(db) == []


class LongAgo(datetime):
    """A clock of eleven years ago."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "LongAgo":
        return cls.fromtimestamp(time.time() - 11 * 365 * 86400, tz)


def test_an_accepted_fingerprint_for_an_address_without_certificate_is_refused(
    sysadmin: Browser, sim: client.Running, key: bytes, db: Connection
) -> None:
    entered = FORM | {"url": sim.url, "fingerprint": "0" * 64}
    answer = sysadmin.post("/pbxs/add", page="/pbxs/add", **entered)
    assert "has no certificate" in wrong(answer.text)["url"]
    assert added(db) == []
