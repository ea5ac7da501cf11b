"""Links by mail: what the recipient can do with one, for how long, and how often."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from common import mail as mails
from common import seal
from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive, tone

OVER = "This link has expired, was used up or withdrawn."


@dataclass
class Share:
    """Alice, a call of hers, and what she sends of it."""

    app: Flask
    db: Connection
    alice: Browser
    recording: UUID
    key: bytes

    def send(self, **fields: str) -> Any:
        page = f"/recordings/{self.recording}/share"
        sent = {"recipients": "x@example.com", "hours": "12", "plays": "", **fields}
        return self.alice.post(page, page=page, **sent)

    def mailed(self) -> list[dict[str, Any]]:
        """Return what the mails in line say, the last first, each with its recipient."""
        rows = self.db.execute(
            "SELECT m.id, m.recipient, m.sealed FROM mail m JOIN link l ON l.mail_id = m.id"
            " ORDER BY l.id DESC"
        ).fetchall()
        return [
            {"to": to, **json.loads(seal.unseal(self.key, sealed, mails.bound(identity)))}
            for identity, to, sealed in rows
        ]

    def path(self, **fields: str) -> str:
        """Send a link and return its path."""
        self.code = ""
        answer = self.send(**fields)
        if answer.status_code == 200:
            found = re.search(r'class="code big">([\d ]+)<', answer.text)
            assert found is not None
            self.code = found[1]
        text = "\n".join(self.mailed()[0]["paragraphs"])
        match = re.search(r"https?://[^/]+(/listen/\S+)", text)
        assert match is not None, text
        return match[1]

    def open(self, path: str, browser: Browser | None = None, **fields: str) -> tuple[Browser, Any]:
        """Press the button as a browser of one's own."""
        browser = browser or Browser(self.app, "198.51.100.20")
        first = browser.get(path)
        if first.status_code != 200:
            return browser, first
        return browser, browser.post(path, page=path, **fields)


@pytest.fixture
def share(
    app: Flask, db: Connection, archive: Archive, as_user: Callable[..., Browser], mail: bytes
) -> Share:
    user = archive.user("alice", "Alice Archer")
    recording, _ = archive.stored(archive.company(), tone(5), duration=5, owners=[user])
    return Share(app, db, as_user(user), recording, mail)


def test_a_link_lets_somebody_without_an_account_listen_and_do_nothing_else(
    share: Share, audit: Callable[[], list[Any]]
) -> None:
    path = share.path(message="Please listen to the end.\nAlice")
    browser = Browser(share.app, "198.51.100.20")
    before = browser.get(path)
    assert "Please listen to the end." in before.text
    assert "Alice Archer" in before.text
    assert "<audio" not in before.text
    assert browser.get(f"{path}/audio").status_code == 403
    assert browser.get(f"{path}/peaks").status_code == 403
    _, opened = share.open(path, browser)
    assert (opened.status_code, opened.headers["Location"]) == (303, path)
    page = browser.get(path).text
    source = re.search(r'<audio [^>]*src="([^"]+)"', page)
    assert source is not None
    part = browser.get(source[1].replace("&amp;", "&"), Range="bytes=0-99")
    assert part.status_code == 206
    assert part.data[:4] == b"RIFF"
    assert browser.get(f"{path}/peaks").status_code == 200
    assert "ownload" not in page.partition("<main")[2].replace("nodownload", "")
    assert str(share.recording) not in page
    subject = f"recording:{share.recording}"
    assert audit()[-3:] == [
        ("alice@pbx10", "link.create", subject),
        ("link:1", "link.open", subject),
        ("link:1", "recording.play", subject),
    ]
    assert (
        "x@example.com, by a link played it"
        in share.alice.get(f"/recordings/{share.recording}").text
    )
    assert "1 time, last" in share.alice.get("/links").text


def test_the_token_is_in_the_mail_only(share: Share) -> None:
    token = share.path().rpartition("/")[2]
    assert len(token) == 43
    for (table,) in share.db.execute("SELECT relname FROM pg_stat_user_tables").fetchall():
        found = share.db.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s',
                                 [f"%{token}%"])  # fmt: skip
        assert found.fetchone() == (0,), table


def test_looking_uses_nothing_up(share: Share) -> None:
    path = share.path(plays="1")
    for _ in range(5):
        scanner = Browser(share.app)
        assert scanner.get(path).status_code == 200
        assert scanner.ask("HEAD", path).status_code == 200
        assert scanner.get(f"{path}/audio").status_code == 403
    assert share.db.execute("SELECT plays FROM link").fetchone() == (0,)


def test_one_play_is_one_play_and_lasts_in_its_browser(share: Share) -> None:
    path = share.path(plays="1")
    browser, opened = share.open(path)
    assert opened.status_code == 303
    for _ in range(3):
        assert browser.get(f"{path}/audio").status_code == 200
        assert browser.get(path).status_code == 200
    other, refused = share.open(path)
    assert refused.status_code == 404
    assert OVER in refused.text
    assert other.get(f"{path}/audio").status_code == 404
    assert share.db.execute("SELECT plays FROM link").fetchone() == (1,)


def test_a_rush_on_a_link_of_one_play_opens_it_once(share: Share) -> None:
    path = share.path(plays="1")
    browsers = [Browser(share.app, f"198.51.100.{n}") for n in range(16)]
    tokens = [browser.csrf(path) for browser in browsers]
    barrier = threading.Barrier(len(browsers))
    statuses: list[int] = []

    def rush(browser: Browser, token: str) -> None:
        barrier.wait(30)
        answer = browser.ask("POST", path, data={"csrf": token})
        statuses.append(answer.status_code)

    threads = [
        threading.Thread(target=rush, args=pair) for pair in zip(browsers, tokens, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [303] + [404] * 15
    assert [browser.get(f"{path}/audio").status_code for browser in browsers].count(200) == 1
    assert share.db.execute("SELECT plays FROM link").fetchone() == (1,)


def age(share: Share, hours: float) -> None:
    """Let the link be older; its table allows no longer life than 72 hours."""
    share.db.execute(
        "UPDATE link SET created_at = created_at - %(hours)s * interval '1 hour',"
        " expires_at = expires_at - %(hours)s * interval '1 hour'",
        {"hours": hours},
    )


def test_in_the_73rd_hour_nothing_works_any_more_not_even_for_who_listens(share: Share) -> None:
    path = share.path(hours="72")
    browser, _ = share.open(path)
    age(share, 71.99)
    assert browser.get(f"{path}/audio").status_code == 200
    age(share, 0.02)
    for way in ("", "/audio", "/peaks"):
        assert browser.get(f"{path}{way}").status_code == 404, way
        assert Browser(share.app).get(f"{path}{way}").status_code == 404, way
    assert "expired" in share.alice.get("/links").text


@pytest.mark.parametrize("hours", ["73", "0", "-1", "1e9", "", "12.5"])
def test_a_link_can_not_be_made_to_live_longer(share: Share, hours: str) -> None:
    assert share.send(hours=hours).status_code == 422
    assert share.db.execute("SELECT count(*) FROM link").fetchone() == (0,)


def test_a_link_that_is_withdrawn_ends_at_once(share: Share) -> None:
    path = share.path()
    browser, _ = share.open(path)
    assert browser.get(f"{path}/audio").status_code == 200
    assert share.alice.post("/links/1/revoke", page="/links").status_code == 303
    assert browser.get(f"{path}/audio").status_code == 404
    assert browser.get(path).status_code == 404
    assert "withdrawn" in share.alice.get("/links").text


def test_links_end_when_administrators_switch_them_off(share: Share) -> None:
    path = share.path()
    browser, _ = share.open(path)
    share.db.execute("UPDATE general_settings SET users_may_mail_links = false")
    assert browser.get(f"{path}/audio").status_code == 404
    assert "Mail a link" not in share.alice.get(f"/recordings/{share.recording}").text
    assert share.alice.get(f"/recordings/{share.recording}/share").status_code == 403
    answer = share.alice.post(
        f"/recordings/{share.recording}/share", page="/calls", recipients="x@example.com",
        hours="12", plays="",
    )  # fmt: skip
    assert answer.status_code == 403
    assert share.db.execute("SELECT count(*) FROM link").fetchone() == (1,)


@pytest.mark.parametrize("token", ["x" * 43, "x", "%00", "é", "..", "x" * 2000, "' OR 1=1 --"])
def test_a_guessed_token_is_nothing(share: Share, token: str) -> None:
    share.path()
    for way in ("", "/audio", "/peaks"):
        assert Browser(share.app).get(f"/listen/{token}{way}").status_code == 404
    browser = Browser(share.app)
    answer = browser.ask("POST", f"/listen/{token}", data={"csrf": browser.csrf()})
    assert answer.status_code == 404


def test_a_visit_opens_no_other_link(share: Share) -> None:
    first, second = share.path(), share.path()
    assert first != second
    browser, _ = share.open(first)
    assert browser.get(f"{second}/audio").status_code == 403


def test_a_code_is_told_in_another_way_and_works_once(share: Share) -> None:
    path = share.path(code="yes")
    assert re.fullmatch(r"\d{3} \d{3}", share.code)
    said = json.dumps(share.mailed())
    assert share.code not in said
    assert share.code.replace(" ", "") not in said
    browser, wrong = share.open(path, code="000000" if share.code[0] != "0" else "111111")
    assert wrong.status_code == 403
    assert "This code is wrong" in wrong.text
    assert browser.get(f"{path}/audio").status_code == 403
    browser, right = share.open(path, browser, code=share.code)
    assert right.status_code == 303
    assert browser.get(f"{path}/audio").status_code == 200
    _, again = share.open(path, code=share.code)
    assert again.status_code == 404
    assert browser.get(f"{path}/audio").status_code == 200


def test_five_wrong_codes_end_a_link_also_in_parallel(share: Share) -> None:
    path = share.path(code="yes")
    wrong = "000000" if share.code[0] != "0" else "111111"
    browsers = [Browser(share.app, f"198.51.100.{n}") for n in range(12)]
    tokens = [browser.csrf(path) for browser in browsers]
    statuses: list[int] = []

    def guess(browser: Browser, token: str) -> None:
        answer = browser.ask("POST", path, data={"csrf": token, "code": wrong})
        statuses.append(answer.status_code)

    threads = [
        threading.Thread(target=guess, args=pair) for pair in zip(browsers, tokens, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert share.db.execute("SELECT code_failures FROM link").fetchone() == (5,)
    _, late = share.open(path, code=share.code)
    assert late.status_code == 404
    assert "blocked" in share.alice.get("/links").text


def test_each_recipient_gets_a_link_of_their_own(share: Share) -> None:
    share.send(recipients="Bob <bob@example.com>, carol@example.com, bob@example.com", plays="2")
    mailed = share.mailed()
    assert [one["to"] for one in mailed] == ["carol@example.com", "Bob <bob@example.com>"]
    addresses = {paragraph for one in mailed for paragraph in one["paragraphs"]
                 if paragraph.startswith("http")}  # fmt: skip
    assert len(addresses) == 2
    assert share.db.execute("SELECT recipient FROM link ORDER BY id").fetchall() == [
        ("bob@example.com",), ("carol@example.com",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"recipients": ""}, "Enter an e-mail address."),
        ({"recipients": "nobody"}, "These are not e-mail addresses: nobody"),
        ({"recipients": "a@example.com\nBcc: b@example.com"}, "These are not e-mail addresses"),
        ({"recipients": ", ".join(f"u{n}@example.com" for n in range(11))}, "10 are the most"),
        ({"message": "x" * 2001}, "2000 are the most"),
        ({"plays": "4"}, "Choose one of these."),
    ],
)
def test_a_bad_form_is_said_and_sends_nothing(
    share: Share, fields: dict[str, str], words: str
) -> None:
    answer = share.send(**fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert share.db.execute("SELECT count(*) FROM mail").fetchone() == (0,)


def test_a_recording_that_is_gone_is_gone_for_its_links_too(share: Share) -> None:
    path = share.path()
    browser, _ = share.open(path)
    share.db.execute("DELETE FROM recording_audio")
    for way in ("", "/audio", "/peaks"):
        assert browser.get(f"{path}{way}").status_code == 404
