"""The notifier against real mail servers: what is sent, and each failure in words."""

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import commands, mail, seal
from common.commands import Answer
from daemons.notifier import smtp
from daemons.notifier.notifier import Notifier, Settings
from daemons.notifier.smtp import MailRefused, Server
from simulators.mail.server import PASSWORD, USER, Mailbox, serving
from tests.authority import Authority
from tests.quiet import Quiet

Connect = Callable[[str], psycopg.Connection[Any]]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one authority that this machine trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return authority


def server(port: int, security: str = "plain", user: str = "", password: str = "") -> Server:
    return Server("127.0.0.1", port, security, user, password)


@pytest.mark.parametrize("security", ["plain", "starttls", "tls"])
def test_a_server_that_works_is_accepted_with_and_without_a_login(
    authority: Authority, security: str
) -> None:
    context = authority.context()
    ways: dict[str, Any] = {"tls": {"tls": context}, "starttls": {"starttls": context}}
    for login in (False, True):
        with serving(Mailbox(), login=login, **ways.get(security, {})) as port:
            user, password = (USER, PASSWORD) if login else ("", "")
            smtp.check(server(port, security, user, password))
            if login:
                with pytest.raises(MailRefused, match="refuses this user name and password: “535"):
                    smtp.check(server(port, security, USER, "wrong"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"self_signed": True}, "self-signed"),
        ({"lasts": timedelta(days=-1)}, "expired"),
        ({"address": "192.0.2.1"}, "IP address mismatch"),
    ],
)
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_good_is_refused(
    authority: Authority, security: str, options: dict[str, Any], words: str
) -> None:
    context, box = authority.context(**options), Mailbox()
    way: dict[str, Any] = {security: context}
    with serving(box, **way) as port, pytest.raises(MailRefused, match=words):
        smtp.check(server(port, security))


@contextmanager
def raw(greeting: bytes, *, stays: bool = False) -> Iterator[int]:
    """Serve something that is not a mail server."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(greeting)
                    if stays:
                        over.wait(30)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"", "ends the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answers “|ends the connection"),
        (b"554 go away\x00\x1b " + b"x" * 2000 + b"\r\n", "“554 go away x+"),
        (b"421 too busy\r\n", "“421 too busy”"),
    ],
)
def test_whatever_else_listens_there_is_told_apart(greeting: bytes, words: str) -> None:
    with raw(greeting) as port, pytest.raises(MailRefused, match=words) as refused:
        smtp.check(server(port))
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


def test_one_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "SECONDS", 0.3)
    with raw(b"", stays=True) as port, pytest.raises(MailRefused, match="does not answer"):
        smtp.check(server(port))


def test_a_name_a_port_and_an_encryption_that_are_wrong_are_told_apart(
    authority: Authority,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        unused = free.getsockname()[1]
    with pytest.raises(MailRefused, match="refuses connections"):
        smtp.check(server(unused))
    with pytest.raises(MailRefused, match="no server with the name"):
        smtp.check(Server("nowhere.invalid", 25, "plain", "", ""))
    with serving(Mailbox()) as port:
        with pytest.raises(MailRefused, match="does not offer STARTTLS"):
            smtp.check(server(port, "starttls"))
        with pytest.raises(MailRefused, match="does not speak TLS"):
            smtp.check(server(port, "tls"))
        with pytest.raises(MailRefused, match="offers no login"):
            smtp.check(server(port, "plain", USER, PASSWORD))
    with pytest.raises(MailRefused, match="without encryption"):
        smtp._log_in(_Elsewhere(), Server("mail.example.com", 25, "plain", USER, PASSWORD))  # type: ignore[arg-type]


class _Elsewhere:
    """A conversation with a server on another machine, which can't be had in a test."""

    def ehlo_or_helo_if_needed(self) -> None:
        """Say hello."""


@pytest.fixture
def notifier(
    connect_as: Connect,
    db: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Notifier:
    """The notifier with its key."""
    private, public = seal.generate()
    (tmp_path / "mail.key").write_text(base64.b64encode(private).decode())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    return Notifier(
        Settings("", ""), connect_as("notifier"), lambda: datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    )


def asked(connect_as: Connect, notifier: Notifier, kind: str, **arguments: Any) -> Answer:
    web = connect_as("web")
    with web.transaction():
        command = commands.ask(web, "notifier", kind, arguments, "sysadmin")
    notifier.step(Quiet())  # type: ignore[arg-type]
    answer = commands.wait(web, command, 1)
    assert answer is not None
    return answer


def configure(db: psycopg.Connection[Any], port: int, sealed: bytes | None = None) -> None:
    db.execute(
        "INSERT INTO mail_server (host, port, security, username, password_sealed, saved_by)"
        " VALUES ('127.0.0.1', %s, 'plain', %s, %s, 'sysadmin')",
        [port, USER if sealed else "", sealed],
    )
    db.execute(
        "UPDATE general_settings SET sender = 'callstash@example.com',"
        " recipients = ARRAY['Ann Ops <ann@example.com>', 'bob@example.com']"
    )


def test_a_test_mail_reaches_everybody(
    connect_as: Connect, notifier: Notifier, db: psycopg.Connection[Any]
) -> None:
    box = Mailbox()
    with serving(box) as port:
        configure(db, port)
        answer = asked(connect_as, notifier, "mail.test")
    assert answer.succeeded, answer
    assert "ann@example.com" in answer.answer
    assert box.envelopes == [("callstash@example.com", ["ann@example.com", "bob@example.com"])]
    (message,) = box.mails
    assert message["Subject"] == "CallStash: test mail"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"] == "Mon, 23 Nov 2026 09:30:00 +0000"
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert "asked for in the web UI" in plain.get_content()
    assert html is not None
    assert "<p>This is the test mail" in html.get_content()


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        ({"MAIL": "550 5.7.1 not you"}, "From address callstash@example.com: “550 5.7.1 not you”"),
        ({"bob@example.com": "550 no bob"}, "bob@example.com: “550 no bob”. The others got it"),
        ({"RCPT": "451 greylisted"}, "ann@example.com: “451 greylisted”; bob@"),
        ({"DATA": "552 too large"}, "refuses the mail: “552 too large”"),
    ],
)
def test_what_a_server_refuses_is_said_in_its_words(
    connect_as: Connect,
    notifier: Notifier,
    db: psycopg.Connection[Any],
    refuse: dict[str, str],
    words: str,
) -> None:
    box = Mailbox()
    box.refuse = refuse
    with serving(box) as port:
        configure(db, port)
        answer = asked(connect_as, notifier, "mail.test")
    assert not answer.succeeded
    assert words in answer.answer


def test_without_settings_nothing_is_sent(
    connect_as: Connect, notifier: Notifier, db: psycopg.Connection[Any]
) -> None:
    assert "No e-mail server" in asked(connect_as, notifier, "mail.test").answer
    configure(db, 25)
    db.execute("UPDATE general_settings SET recipients = '{}'")
    assert "at least one recipient" in asked(connect_as, notifier, "mail.test").answer


def test_a_saved_password_goes_to_the_server_that_it_was_entered_for_only(
    connect_as: Connect, notifier: Notifier, db: psycopg.Connection[Any]
) -> None:
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = 'mail'").fetchone()
    assert row is not None
    sealed = seal.seal(row[0], PASSWORD.encode(), mail.context("127.0.0.1", "plain", USER))
    wanted = {"port": 0, "security": "plain", "username": USER, "password_sealed": None}
    with serving(Mailbox(), login=True) as port:
        configure(db, port, sealed)
        wanted["port"] = port
        good = asked(connect_as, notifier, "mail.check", **wanted, host="127.0.0.1")
        evil = asked(connect_as, notifier, "mail.check", **wanted, host="localhost")
    assert good == Answer(True, "127.0.0.1 accepts mail from CallStash.")
    assert not evil.succeeded
    assert "sealed to another key" in evil.answer


def test_the_web_ui_can_not_read_the_password(connect_as: Connect) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as("web").execute("SELECT password_sealed FROM mail_server")
