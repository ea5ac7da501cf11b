"""Mail that waits: sent once, kept while the server is away, refused for good, given up in time."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import mail, seal
from daemons.notifier import smtp
from daemons.notifier.notifier import Notifier, Settings
from simulators.mail.server import Mailbox, serving
from tests.quiet import Quiet

Connect = Callable[[str], psycopg.Connection[Any]]
LINK = "https://callstash.example.com/listen/abc"


class Post:
    """A notifier whose clock can be moved, and the table of mail."""

    def __init__(self, db: psycopg.Connection[Any], connect_as: Connect) -> None:
        self.db = db
        self.offset = timedelta()
        self.notifier = Notifier(Settings("", ""), connect_as("notifier"), lambda: self.now())

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def put(self, recipient: str = "x@example.com", hours: float = 12) -> None:
        """Put a mail in line, as the web UI does."""
        until = self.now() + timedelta(hours=hours)
        with self.db.transaction():
            mail.put(
                self.db, "link", recipient, "Alice sends you a call recording",
                ["First line.\nSecond <line>.", LINK], until,
            )  # fmt: skip

    def server(self, port: int) -> None:
        """Set up a mail server."""
        self.db.execute(
            "INSERT INTO mail_server (host, port, security, saved_by)"
            " VALUES ('127.0.0.1', %s, 'plain', 'sysadmin')"
            " ON CONFLICT (single) DO UPDATE SET port = excluded.port",
            [port],
        )
        self.db.execute("UPDATE general_settings SET sender = 'CallStash <box@example.com>'")

    def work(self) -> int:
        """Send all that is due and return how many mails that were."""
        sent = 0
        while self.notifier.step(Quiet()):  # type: ignore[arg-type]
            sent += 1
        return sent

    def rows(self) -> list[Any]:
        return self.db.execute(
            "SELECT CASE WHEN sent_at IS NOT NULL THEN 'sent' WHEN refused_at IS NOT NULL"
            " THEN 'refused' ELSE 'waits' END, attempts, error, sealed IS NULL FROM mail"
            " ORDER BY created_at"
        ).fetchall()


@pytest.fixture
def post(
    db: psycopg.Connection[Any],
    connect_as: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Post:
    private, public = seal.generate()
    (tmp_path / "mail.key").write_bytes(base64.b64encode(private))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    return Post(db, connect_as)


def test_a_mail_is_sent_once_and_what_it_said_is_forgotten(post: Post) -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        post.server(port)
        post.put()
        post.put("Bob <bob@example.com>")
        assert post.work() == 2
        post.offset = timedelta(days=2)
        assert post.work() == 0
    assert post.rows() == [("sent", 1, None, True)] * 2
    first, second = mailbox.mails
    assert mailbox.envelopes == [
        ("box@example.com", ["x@example.com"]), ("box@example.com", ["bob@example.com"]),
    ]  # fmt: skip
    assert first["Subject"] == "CallStash: Alice sends you a call recording"
    assert first["Message-ID"] != second["Message-ID"]
    plain = first.get_body(("plain",))
    html = first.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert LINK in plain.get_content()
    assert f'<a href="{LINK}">' in html.get_content()
    assert "First line.<br>\r\nSecond &lt;line&gt;." in html.get_content()


def test_a_server_that_is_away_for_a_week_loses_none_that_is_still_of_use(post: Post) -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        post.server(port)
    post.put(hours=24 * 30)
    post.put(hours=1)
    tries = 0
    for _ in range(24 * 7 // 2):
        tries += post.work()
        post.offset += timedelta(hours=2)
    assert tries == 24 * 7 // 2 + 2
    lasting, short = post.rows()
    assert lasting[0] == "waits"
    assert "refuses connections" in lasting[2]
    assert short[0] == "refused"
    with serving(mailbox, port=port):
        assert post.work() == 1
    assert [row[0] for row in post.rows()] == ["sent", "refused"]
    assert [envelope[1] for envelope in mailbox.envelopes] == [["x@example.com"]]


def test_tries_grow_apart(post: Post) -> None:
    with serving(Mailbox()) as port:
        post.server(port)
    post.put(hours=48)
    pauses, last = [], post.now()
    for _ in range(4 * 3600 // 5):
        if post.work():
            pauses.append((post.now() - last).total_seconds())
            last = post.now()
        post.offset += timedelta(seconds=5)
    assert pauses[1] < 25
    assert all(after >= before * 0.9 for before, after in zip(pauses[1:], pauses[2:], strict=False))
    assert 1790 < pauses[-1] < 1900


def test_what_the_server_refuses_for_good_is_not_tried_again(post: Post) -> None:
    mailbox = Mailbox()
    mailbox.refuse["gone@example.com"] = "550 5.1.1 no such user"
    mailbox.refuse["full@example.com"] = "452 4.2.2 mailbox full"
    with serving(mailbox) as port:
        post.server(port)
        for recipient in ("gone@example.com", "full@example.com"):
            post.put(recipient)
        assert post.work() == 2
        gone, full = post.rows()
        assert (gone[0], gone[3]) == ("refused", True)
        assert "550 5.1.1 no such user" in gone[2]
        assert (full[0], full[3]) == ("waits", False)
        assert "452 4.2.2 mailbox full" in full[2]
        del mailbox.refuse["full@example.com"]
        post.offset += timedelta(minutes=1)
        assert post.work() == 1
    assert [row[0] for row in post.rows()] == ["refused", "sent"]


def test_killed_between_sending_and_noting_it_sends_the_same_mail_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        """The notifier dies here."""

    genuine = smtp.send

    def kill(*arguments: Any) -> None:
        genuine(*arguments)
        raise Killed

    mailbox = Mailbox()
    with serving(mailbox) as port:
        post.server(port)
        post.put()
        monkeypatch.setattr(smtp, "send", kill)
        with pytest.raises(Killed):
            post.work()
        monkeypatch.setattr(smtp, "send", genuine)
        assert post.work() == 0, "not at once: whatever killed it may do so again"
        post.offset += timedelta(minutes=1)
        assert post.work() == 1
    first, second = mailbox.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first.as_bytes() == second.as_bytes() or first["Date"] == second["Date"]


def test_without_a_server_mail_waits(post: Post) -> None:
    post.put()
    assert post.work() == 1
    assert post.rows() == [("waits", 1, "No e-mail server is set up.", False)]


def test_what_can_not_be_read_or_written_is_given_up_and_stops_nothing(post: Post) -> None:
    with serving(Mailbox()) as port:
        post.server(port)
        post.put("x@example.com\nBcc: y@example.com")
        post.put()
        post.db.execute("UPDATE mail SET sealed = 'x' WHERE recipient = 'x@example.com'")
        post.put("z@example.com")
        assert post.work() == 3
    unwritable, unreadable, fine = post.rows()
    assert (unwritable[0], unreadable[0], fine[0]) == ("refused", "refused", "sent")
    assert "can't be written" in unwritable[2]
    assert "can't be read" in unreadable[2]
