"""The mail server and the notifications in the browser, with a notifier and real mail servers."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import seal
from common.db import Connection
from daemons.notifier.notifier import Notifier, Settings
from simulators.mail.server import PASSWORD, USER, Mailbox, serving
from tests.quiet import working
from tests.web.browser import Browser
from webui.views.mail import addresses

PAGE, GENERAL = "/settings/mail", "/settings/general"


@pytest.fixture
def notifier(
    connect_as: Callable[[str], psycopg.Connection[Any]],
    db: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """A notifier that does what it is asked."""
    private, public = seal.generate()
    (tmp_path / "mail.key").write_text(base64.b64encode(private).decode())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    with working(Notifier(Settings("", ""), connect_as("notifier")).step):
        yield


def test_a_server_is_saved_once_it_was_tried(
    sysadmin: Browser, notifier: None, db: Connection, audit: Callable[[], list[Any]]
) -> None:
    box = Mailbox()
    with serving(box, login=True) as port:
        fields = {"host": "127.0.0.1", "security": "plain", "port": str(port), "username": USER}
        answer = sysadmin.post(PAGE, PAGE, **fields, password="wrong")
        assert answer.status_code == 422
        assert "Nothing was saved. 127.0.0.1 refuses this user name and password" in answer.text
        assert 'value="127.0.0.1"' in answer.text
        assert "wrong" not in answer.text.replace('class="wrong"', "")
        assert db.execute("SELECT count(*) FROM mail_server").fetchone() == (0,)
        assert sysadmin.post(PAGE, PAGE, **fields, password=PASSWORD).status_code == 303
        text = sysadmin.get(PAGE).text
        assert "accepts mail from CallStash" in text
        assert PASSWORD not in text
        before = text.split('name="before" value="')[1].split('"')[0]
        assert sysadmin.post(PAGE, PAGE, **fields, password="", before=before).status_code == 303
        sysadmin.post(GENERAL, GENERAL, sender="a@example.com", recipients="b@example.com")
        assert sysadmin.post(f"{PAGE}/test", PAGE).status_code == 303
        assert "A test mail was sent to b@example.com" in sysadmin.get(PAGE).text
    assert len(box.mails) == 1
    assert [action for _, action, _ in audit()] == [
        "login", "mail.changed", "mail.changed", "mail.settings", "mail.test",
    ]  # fmt: skip
    rows = db.execute("SELECT detail::text FROM audit").fetchall()
    assert not any(PASSWORD in row[0] for row in rows)


def test_a_password_stays_only_with_the_server_that_it_was_entered_for(
    sysadmin: Browser, notifier: None
) -> None:
    with serving(Mailbox(), login=True) as port:
        fields = {"host": "127.0.0.1", "security": "plain", "port": str(port), "username": USER}
        sysadmin.post(PAGE, PAGE, **fields, password=PASSWORD)
        for change in ({"host": "localhost"}, {"security": "tls"}, {"username": "bob"}):
            answer = sysadmin.post(PAGE, PAGE, **{**fields, **change}, password="")
            assert answer.status_code == 422
            assert "Enter the password that belongs" in answer.text


def test_two_administrators_do_not_overwrite_each_other(sysadmin: Browser, notifier: None) -> None:
    with serving(Mailbox()) as port:
        fields = {"host": "127.0.0.1", "security": "plain", "port": str(port)}
        assert sysadmin.post(PAGE, PAGE, **fields).status_code == 303
        answer = sysadmin.post(PAGE, PAGE, **fields, before="")
        assert (answer.status_code, "Somebody else" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": ""}, "Enter the name of the mail server"),
        ({"host": "mail.example.com; rm"}, "Enter a name such as"),
        ({"host": "a\r\nb"}, "Enter a name such as"),
        ({"port": "99999"}, "from 1 to 65535"),
        ({"port": "x"}, "from 1 to 65535"),
        ({"security": "rot13"}, "Choose one of these"),
        ({"username": "u"}, "Enter the password"),
        ({"password": "p"}, "Enter the user name"),
        ({"username": "x" * 300, "password": "p"}, "200 are the most"),
    ],
)
def test_bad_input_is_said_beside_its_field_and_kept(
    sysadmin: Browser, fields: dict[str, str], words: str
) -> None:
    good = {"host": "mail.example.com", "security": "tls", "port": ""}
    answer = sysadmin.post(PAGE, PAGE, **{**good, **fields})
    assert answer.status_code == 422
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text or "security" in fields


def test_without_the_notifier_it_is_said_and_nothing_is_saved(
    sysadmin: Browser, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.commands.PATIENCE", 0.2)
    answer = sysadmin.post(PAGE, PAGE, host="127.0.0.1", security="plain", port="25")
    assert "The notifier did not answer" in answer.text
    assert db.execute("SELECT count(*) FROM mail_server").fetchone() == (0,)


@pytest.fixture
def server(db: Connection) -> None:
    """A mail server that is set up."""
    db.execute(
        "INSERT INTO mail_server (host, port, security, saved_by)"
        " VALUES ('mail.example.com', 587, 'starttls', 'sysadmin')"
    )


def test_notifications_are_saved(sysadmin: Browser, server: None, db: Connection) -> None:
    sysadmin.post(
        GENERAL, GENERAL, sender="CallStash <cs@example.com>", on_backup="yes", on_digest="yes",
        recipients='ann@example.com,\n"Ops, Night" <ops@example.com>, ANN@example.com,',
    )  # fmt: skip
    row = db.execute("SELECT * FROM general_settings").fetchone()
    assert row is not None
    assert row[1:] == (
        "CallStash <cs@example.com>",
        ["ann@example.com", '"Ops, Night" <ops@example.com>'],
        False, False, True, False, True,
    )  # fmt: skip
    text = sysadmin.get(GENERAL).text
    assert "The notifications are saved" in text
    assert "ops@example.com" in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sender": ""}, "Enter the address that mails come from"),
        ({"sender": "a@example.com, b@example.com"}, "Enter one address"),
        ({"recipients": ""}, "at least one address"),
        ({"recipients": "a@example.com, bob"}, "not e-mail addresses: bob"),
        ({"recipients": ",".join(f"a{n}@example.com" for n in range(51))}, "50 are the most"),
    ],
)
def test_bad_addresses_are_named(
    sysadmin: Browser, server: None, fields: dict[str, str], words: str
) -> None:
    good = {"sender": "a@example.com", "recipients": "b@example.com"}
    answer = sysadmin.post(GENERAL, GENERAL, **{**good, **fields})
    assert answer.status_code == 422
    assert words in answer.text


def test_without_a_server_nobody_can_be_told(sysadmin: Browser) -> None:
    assert "Nobody can be told yet" in sysadmin.get(GENERAL).text
    answer = sysadmin.post(GENERAL, GENERAL, sender="a@example.com", recipients="b@example.com")
    assert "Set up the e-mail server first" in answer.text


@pytest.mark.parametrize(
    "text",
    ["a@b.c\r\nBcc: x@y.z", "a@b", "@b.c", "a b@c.d", "a@b.c>", "ä@example.com", "<a@b.c", "x"],
)
def test_what_is_no_address_is_none(text: str) -> None:
    good, wrong = addresses(text)
    assert wrong or good == ["a@b.c"], (good, wrong)
    assert not any("\n" in address for address in good)


def test_removing_the_server_needs_no_questions(
    sysadmin: Browser, server: None, db: Connection
) -> None:
    assert sysadmin.post(f"{PAGE}/remove", PAGE).status_code == 303
    assert db.execute("SELECT count(*) FROM mail_server").fetchone() == (0,)
