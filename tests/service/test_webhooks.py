"""Webhooks: signed deliveries to a real HTTP server, tried until taken, and not for ever."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import mail, seal
from daemons.notifier.notifier import Notifier, Settings
from daemons.notifier.webhooks import WebhookRefused, Webhooks
from tests.quiet import Quiet

Connect = Callable[[str], psycopg.Connection[Any]]
SECRET = bytes(range(32))


class Hook(ThreadingHTTPServer):
    """Takes deliveries, or answers with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.seen: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?a=b"


class Answer(BaseHTTPRequestHandler):
    """Notes what comes."""

    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hooked() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Desk:
    """A notifier with a webhook and a clock."""

    def __init__(self, db: psycopg.Connection[Any], connect_as: Connect, public: bytes) -> None:
        self.db = db
        self.public = public
        self.offset = timedelta()
        connection = connect_as("notifier")
        self.notifier = Notifier(Settings("", ""), connection, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def add(self, url: str, bound: str | None = None) -> int:
        sealed = seal.seal(self.public, SECRET, mail.webhook(bound or url))
        row = self.db.execute(
            "INSERT INTO webhook (url, secret_sealed, created_by) VALUES (%s, %s, 'x')"
            " RETURNING id", [url, sealed],
        ).fetchone()  # fmt: skip
        assert row is not None
        return int(row[0])

    def low(self, free: int) -> None:
        self.db.execute(
            "INSERT INTO disk VALUES ('audio', '/x', 1000, %s, now(), %s) ON CONFLICT (volume)"
            " DO UPDATE SET free = excluded.free, is_low = excluded.is_low",
            [free, free < 100],
        )

    def work(self) -> None:
        self.offset += timedelta(minutes=1)
        while self.notifier.step(Quiet()):  # type: ignore[arg-type]
            pass


@pytest.fixture
def desk(
    db: psycopg.Connection[Any], connect_as: Connect, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:  # fmt: skip
    private, public = seal.generate()
    (tmp_path / "mail.key").write_bytes(base64.b64encode(private))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    return Desk(db, connect_as, public)


def test_each_change_is_delivered_once_and_signed(desk: Desk) -> None:
    with hooked() as hook:
        desk.add(hook.url)
        for free in (99, 99, 30, 30, 500, 500):
            desk.low(free)
            desk.work()
        events = [json.loads(body) for _, body in hook.seen]
        assert [(one["event"], one["kind"], one["subject"], one["level"]) for one in events] == [
            ("raised", "disk_low", "audio", "warning"),
            ("worse", "disk_low", "audio", "critical"),
            ("ended", "disk_low", "audio", "critical"),
        ]
        assert len({one["alert"] for one in events}) == 1
        for headers, body in hook.seen:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = hmac.digest(SECRET, signed, hashlib.sha256)
            assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
            assert abs(int(headers["webhook-timestamp"]) - desk.now().timestamp()) < 600


def test_a_webhook_that_fails_is_told_later_with_the_same_id(desk: Desk) -> None:
    with hooked() as hook:
        desk.add(hook.url)
        hook.status = 503
        desk.low(50)
        desk.work()
        desk.offset += timedelta(hours=1)
        desk.work()
        assert len(hook.seen) == 2
        assert desk.db.execute("SELECT error FROM webhook_delivery").fetchall() == [
            ("It answered with status 503.",)
        ]
        hook.status = 200
        desk.offset += timedelta(hours=2)
        desk.work()
        desk.work()
        identities = [headers["webhook-id"] for headers, _ in hook.seen]
        assert len(identities) == 3
        assert len(set(identities)) == 1
        assert desk.db.execute(
            "SELECT sent_at IS NOT NULL, error FROM webhook_delivery"
        ).fetchall() == [(True, None)]


def test_after_three_days_it_is_given_up_and_later_forgotten(desk: Desk) -> None:
    desk.add("http://127.0.0.1:1/")
    desk.low(99)
    for _ in range(4 * 24):
        desk.work()
        desk.offset += timedelta(hours=1)
    waiting = "SELECT count(*), count(next_try_at) FROM webhook_delivery"
    assert desk.db.execute(waiting).fetchall() == [(1, 0)]
    desk.offset += timedelta(days=15)
    desk.work()
    assert desk.db.execute(waiting).fetchall() == [(0, 0)]


def test_a_redirection_is_not_followed(desk: Desk) -> None:
    with hooked() as hook:
        hook.status = 307
        desk.add(hook.url)
        desk.low(99)
        desk.work()
        assert len(hook.seen) == 1


def test_a_test_says_how_it_went(desk: Desk, connect_as: Connect, tmp_path: Path) -> None:
    key = base64.b64decode((tmp_path / "mail.key").read_bytes())
    hooks = Webhooks(connect_as("notifier"), key, desk.now)
    with hooked() as hook:
        assert hooks.test(desk.add(hook.url)) == "The webhook took it."
        assert json.loads(hook.seen[0][1])["event"] == "test"
        hook.status = 404
        with pytest.raises(WebhookRefused, match="status 404"):
            hooks.test(1)
    with pytest.raises(WebhookRefused, match="can't be reached"):
        hooks.test(1)
    with pytest.raises(WebhookRefused, match="removed"):
        hooks.test(7)
    with pytest.raises(WebhookRefused, match="secret can't be read"):
        hooks.test(desk.add("http://127.0.0.1:1/other", "http://127.0.0.1:1/another"))


def test_a_delivery_that_was_cut_off_is_sent_again(desk: Desk) -> None:
    with hooked() as hook:
        desk.add(hook.url)
        desk.low(99)
        desk.work()
        desk.db.execute("UPDATE webhook_delivery SET sent_at = NULL, next_try_at = created_at")
        desk.work()
        assert [h["webhook-id"] for h, _ in hook.seen] == [hook.seen[0][0]["webhook-id"]] * 2
