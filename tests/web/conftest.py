"""The application on a real database and a real archive, and somebody logged in to it."""

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from common import seal
from common.db import Connection
from common.passwords import set_password
from common.store import Store
from daemons.notifier.alerts import Alerts
from tests.quiet import Quiet
from tests.web.browser import Browser
from tests.web.building import MASTER, SIGNING, Archive, signs
from tests.web.serving import serving
from tests.web.world import World
from webui import create_app
from webui.settings import Settings
from webui.views.links import digest

PASSWORDS = {"sysadmin": "Tall-Heron-41", "admin": "Small-Otter-97"}
_HASHES: dict[str, str] = {}

GONE = {  # what the housekeeper notes of a company that it deleted
    "purge": 1, "asked_by": "sysadmin", "id": "6f1f4f0e-54a3-4c0c-9c51-3a0d5f6f0d99",
    "name": "gone", "label": "Gone & Sons", "pbx": "https://pbx.example.com", "recordings": 1234,
    "keys": ["0123456789abcdef"],
}  # fmt: skip


@pytest.fixture
def archive(db: Connection, tmp_path: Path) -> Archive:
    """An archive with one PBX."""
    root = tmp_path / "companies"
    root.mkdir()
    return Archive(db, Store(root))


@pytest.fixture
def accounts(db: Connection) -> dict[str, str]:
    """Both administrators with their passwords."""
    for name, password in PASSWORDS.items():
        if name in _HASHES:  # hashing is slow on purpose
            db.execute(
                "INSERT INTO account (name, password_hash) VALUES (%s, %s)", [name, _HASHES[name]]
            )
            continue
        set_password(db, name, password)
        row = db.execute("SELECT password_hash FROM account WHERE name = %s", [name]).fetchone()
        assert row is not None
        _HASHES[name] = row[0]
    return PASSWORDS


@pytest.fixture
def licence(db: Connection) -> None:
    """A licence for three PBXs, as the housekeeper notes it."""
    db.execute(
        "INSERT INTO licence (document, serial, pbxs, activated, support_until)"
        " VALUES ('{}', '12100006', 3, '2026-01-05', '2036-01-05')"
    )


@pytest.fixture
def app(dsn: str, archive: Archive, licence: None, db: Connection) -> Iterator[Flask]:
    """The application."""
    signs(db, SIGNING)
    settings = Settings(
        dsn, "amqp://127.0.0.1:1", archive.store.root, archive.store.root.parent / "exports",
        timezone="Europe/London",
    )  # fmt: skip
    app = create_app(settings, MASTER, SIGNING)
    yield app
    app.extensions["callstash"].database.close()


@pytest.fixture
def anonymous(app: Flask) -> Browser:
    """A browser in which nobody is logged in."""
    return Browser(app)


@pytest.fixture
def log_in(app: Flask, accounts: dict[str, str]) -> Callable[[str], Browser]:
    """Return a browser in which that administrator is logged in."""

    def begin(name: str) -> Browser:
        browser = Browser(app)
        assert browser.log_in(name, accounts[name]).status_code == 303
        return browser

    return begin


@pytest.fixture
def sysadmin(log_in: Callable[[str], Browser]) -> Browser:
    """A browser in which sysadmin is logged in."""
    return log_in("sysadmin")


@pytest.fixture
def as_user(app: Flask, db: Connection) -> Callable[..., Browser]:
    """Return a browser in which that PBX user is logged in, who hears all calls of companies."""

    def begin(user: int, *hears: int) -> Browser:
        browser = Browser(app)
        browser.token = secrets.token_urlsafe(32)
        db.execute(
            "INSERT INTO session (token_sha256, user_id, hears)"
            " VALUES (sha256(%s::text::bytea), %s, %s)",
            [browser.token, user, list(hears)],
        )
        return browser

    return begin


@pytest.fixture
def mail(db: Connection) -> bytes:
    """A mail server, and links that users may send; the key that opens waiting mail."""
    private, public = seal.generate()
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    db.execute(
        "INSERT INTO mail_server (host, port, security, saved_by)"
        " VALUES ('mail.example.com', 25, 'plain', 'sysadmin')"
    )
    db.execute(
        "UPDATE general_settings SET sender = 'callstash@example.com', users_may_mail_links = true"
    )
    return private


@pytest.fixture
def look(connect_as: Callable[[str], Connection]) -> Callable[[], object]:
    """Have the notifier look what needs a person."""
    box = "https://box.example.com/alerts"

    def once() -> None:
        clock = [datetime.now(UTC) - timedelta(minutes=10), datetime.now(UTC)]
        alerts = Alerts(connect_as("notifier"), lambda: clock[0], box, ZoneInfo("UTC"), None)
        clock.pop(0)
        alerts.turn(Quiet())  # type: ignore[arg-type]

    return once


@pytest.fixture
def audit(db: Connection) -> Callable[[], list[Any]]:
    """Read the audit log: actor, action, subject."""
    return lambda: db.execute("SELECT actor, action, subject FROM audit ORDER BY id").fetchall()


@pytest.fixture
def world(
    app: Flask,
    archive: Archive,
    db: Connection,
    accounts: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    mail: bytes,
) -> World:
    """One of each thing that a page is about, and daemons for which nobody waits long."""
    monkeypatch.setattr("common.commands.PATIENCE", 0.1)
    company = archive.company()
    recording, _ = archive.stored(company)
    row = db.execute(
        "INSERT INTO session (token_sha256, account)"
        " SELECT sha256('other'), name FROM account LIMIT 1 RETURNING id"
    ).fetchone()
    hold = db.execute(
        "INSERT INTO legal_hold (name, reason, company_id, created_by)"
        " VALUES ('Smith v. Jones', 'court order', %s, 'sysadmin') RETURNING id",
        [company],
    ).fetchone()
    letter = db.execute(
        "INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at)"
        " VALUES ('x', 'poller.pbx_changed.v1', '{\"pbx\": 10}', 'callstash.poller', 'rejected',"
        " now()) RETURNING id"
    ).fetchone()
    token = "t" * 43
    link = db.execute(
        "WITH m AS (INSERT INTO mail (kind, recipient, expires_at, sent_at, next_try_at)"
        " VALUES ('link', 'x@example.com', now(), now(), NULL) RETURNING id)"
        " INSERT INTO link (token_sha256, recording_id, sender, sender_name, recipient, mail_id,"
        " expires_at) SELECT %s, %s, 'sysadmin', 'sysadmin', 'x@example.com', id,"
        " now() + interval '1 hour' FROM m RETURNING id",
        [digest(token), recording],
    ).fetchone()
    note = db.execute(
        "INSERT INTO call_note (recording_id, second, body, author, author_name)"
        " VALUES (%s, 1, 'Here he agrees.', 'sysadmin', 'sysadmin') RETURNING id",
        [recording],
    ).fetchone()
    alert = db.execute(
        "INSERT INTO alert (kind, subject, rank, is_critical, title, body, raised_at, changed_at)"
        " VALUES ('disk_low', 'audio', 1, true, 'The disk is nearly full.', 'Make room.', now(),"
        " now()) RETURNING id"
    ).fetchone()
    db.execute(
        "INSERT INTO raid_array (uuid, name, level, state, disks, degraded, seen_at)"
        " VALUES ('0960525c', 'md0', 'raid5', 'degraded', 3, 1, now())"
    )
    webhook = db.execute(
        "INSERT INTO webhook (url, secret_sealed, created_by)"
        " VALUES ('https://chat.example.com/hook', 'x', 'sysadmin') RETURNING id"
    ).fetchone()
    db.execute("INSERT INTO daemon_status VALUES ('poller', '0.1', now(), now(), 'resting')")
    deed = db.execute(
        "INSERT INTO audit (actor, action, subject, detail) VALUES ('housekeeper',"
        " 'company.deleted', 'company:999', %s) RETURNING id",
        [json.dumps(GONE)],
    ).fetchone()
    export = db.execute(
        "INSERT INTO export (company_id, company, asked_by, total)"
        " VALUES (%s, 'Harbour Legal', 'sysadmin', 7) RETURNING id",
        [company],
    ).fetchone()
    return World(
        app,
        {
            "export_id": str(export[0]) if export else "",
            "deed_id": str(deed[0]) if deed else "",
            "token": token,
            "link_id": str(link[0]) if link else "",
            "array": "0960525c",
            "alert_id": str(alert[0]) if alert else "",
            "webhook_id": str(webhook[0]) if webhook else "",
            "note_id": str(note[0]) if note else "",
            "letter_id": str(letter[0]) if letter else "",
            "hold_id": str(hold[0]) if hold else "",
            "pbx_id": str(archive.pbx),
            "poll_id": str(archive.poll),
            "company_id": str(company),
            "recording_id": str(recording),
            "session_id": str(row[0]) if row else "",
            "name": "style.css",
            "daemon": "poller",
            "account": "admin",
        },
    )


@pytest.fixture
def served(
    archive: Archive, dsn: str, tmp_path: Path, accounts: dict[str, str], licence: None
) -> Iterator[str]:
    """The address of the web UI, served as in production."""
    with serving(dsn, archive.store.root, tmp_path) as address:
        yield address
