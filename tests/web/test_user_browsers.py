"""What users do, in a real Chromium and a real Firefox: find a call, hear it, note it, share it."""

import base64
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from common import seal
from common.db import Connection, connect
from daemons.notifier.notifier import Notifier, Settings
from simulators.mail.server import Mailbox, serving
from simulators.pbx import client
from tests.quiet import Quiet
from tests.waiting import until
from tests.web.building import Archive, tone
from tests.web.firefox import firefox
from tests.web.serving import ARGUMENTS

BEGIN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PICTURES = os.environ.get("PICTURES")  # a directory for screenshots on the way
PEAKS = bytes([1, 1]) + bytes([90] * 10 + [0] * 30 + [90] * 10)  # silence from 12 to 48 of 60 s


@pytest.fixture
def calls(archive: Archive, db: Connection) -> Iterator[list[str]]:
    """Five calls of a minute; Alice took part in all but the last, Carol hears all of them."""
    with client.start("--scenario", "small") as running:
        db.execute("UPDATE pbx SET url = %s", [running.url])
        company = archive.company()
        db.execute("UPDATE company SET name = 'default'")
        alice = archive.user("alice", "Alice Archer")
        db.execute("UPDATE pbx_user SET remote_id = '238'")
        made = []
        for number in range(5):
            recording, _ = archive.stored(
                company, tone(60), duration=60, caller="200", callee=f"0163296012{number}",
                peaks=PEAKS, started_at=BEGIN + timedelta(minutes=number),
                owners=[alice] if number < 4 else [],
            )  # fmt: skip
            made.append(str(recording))
        db.execute("UPDATE recording SET caller_name = 'Alice Archer'")
        yield made


@contextmanager
def window(browser: Browser, address: str, width: int) -> Iterator[Page]:
    """A window about which nothing was complained."""
    complaints: list[str] = []
    context = browser.new_context(base_url=address, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


def log_in(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("PBX").fill("Head office")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(f"{name}-password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("searchbox")).to_be_visible()


def picture(page: Page, name: str) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.evaluate("innerWidth"), name
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def time_of(page: Page) -> float:
    return float(page.evaluate("document.getElementById('audio').currentTime"))


@pytest.mark.parametrize("width", [390, 1280])
def test_alice_finds_a_call_hears_it_and_writes_a_note(
    chromium: Browser, served: str, calls: list[str], width: int
) -> None:
    with window(chromium, served, width) as page:
        log_in(page, "alice")
        expect(page.locator("a.play")).to_have_count(4)
        picture(page, f"calls-{width}")
        page.get_by_role("searchbox").fill("01632 960 122")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="1 call")).to_be_visible()
        assert "q=01632" in page.url
        page.go_back()
        page.get_by_role("searchbox").fill("archer 2026-11")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", name="4 calls")).to_be_visible()
        page.locator("a.play").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Alice Archer")
        page.get_by_role("button", name="Play").click()
        until(lambda: time_of(page) > 0.3)
        page.keyboard.press("ArrowRight")
        until(lambda: time_of(page) > 10)
        page.keyboard.press("Space")
        page.get_by_label("Note", exact=True).focus()
        assert re.fullmatch(r"0:1\d", page.get_by_label("At", exact=True).input_value())
        page.keyboard.type("Here he agrees.")
        page.get_by_role("button", name="Add note").click()
        expect(page.get_by_text("Here he agrees.")).to_be_visible()
        assert re.search(r"#t=1\d$", page.url)
        picture(page, f"player-{width}")
        page.reload()
        expect(page.locator("#now")).to_have_text(re.compile("0:1."))


def test_older_and_newer_calls_are_those_of_the_search(
    chromium: Browser, served: str, calls: list[str]
) -> None:
    with window(chromium, served, 1280) as page:
        log_in(page, "alice")
        page.goto("/calls?q=96012&since=2026-11-20")
        page.locator("a.play").first.click()
        seen = []
        for _ in range(4):
            seen.append(re.search(r"recordings/([0-9a-f-]+)", page.url)[1])  # type: ignore[index]
            assert "q=96012" in page.url
            older = page.get_by_role("link", name="Older call")
            if older.count():
                older.click()
        assert seen == calls[3::-1]
        page.get_by_role("link", name="Newer call").click()
        assert calls[1] in page.url


def test_silence_is_skipped(chromium: Browser, served: str, calls: list[str]) -> None:
    with window(chromium, served, 1280) as page:
        log_in(page, "alice")
        page.goto(f"/recordings/{calls[0]}#t=11")
        page.get_by_label("Skip silence").check()
        page.get_by_role("button", name="Play").click()
        until(lambda: time_of(page) > 47)
        assert time_of(page) < 52


def test_a_manager_hears_all_calls_and_alice_only_her_own(
    chromium: Browser, served: str, calls: list[str]
) -> None:
    with window(chromium, served, 1280) as page:
        log_in(page, "carol")
        expect(page.locator("a.play")).to_have_count(5)
    with window(chromium, served, 1280) as page:
        log_in(page, "alice")
        answer = page.goto(f"/recordings/{calls[4]}")
        assert answer is not None
        assert answer.status == 404


def test_a_link_reaches_its_recipient_who_listens(
    chromium: Browser,
    served: str,
    calls: list[str],
    db: Connection,
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private, public = seal.generate()
    (tmp_path / "mail.key").write_bytes(base64.b64encode(private))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    mailbox = Mailbox()
    with serving(mailbox) as port, connect(dsn, "notifier") as notifier_db:
        db.execute("INSERT INTO mail_server (host, port, security, saved_by)"
                   " VALUES ('127.0.0.1', %s, 'plain', 'sysadmin')", [port])  # fmt: skip
        db.execute("UPDATE general_settings SET sender = 'callstash@example.com',"
                   " users_may_mail_links = true")  # fmt: skip
        with window(chromium, served, 1280) as page:
            log_in(page, "alice")
            page.goto(f"/recordings/{calls[0]}")
            page.get_by_role("link", name="Mail a link").click()
            page.get_by_label("To").fill("judge@example.com")
            page.get_by_label("Message").fill("From minute one on.")
            page.get_by_label("Ask for a one-time code").check()
            picture(page, "share")
            page.get_by_role("button", name="Send").click()
            code = page.locator(".codes dd").inner_text()
            picture(page, "code")
            assert Notifier(Settings("", ""), notifier_db).step(Quiet())  # type: ignore[arg-type]
        (mail,) = mailbox.mails
        body = mail.get_body(("plain",))
        assert body is not None
        address = re.search(r"http://\S+/listen/\S+", body.get_content())
        assert address is not None
        with window(chromium, served, 390) as page:
            page.goto(address[0])
            expect(page.get_by_text("From minute one on.")).to_be_visible()
            picture(page, "link")
            page.get_by_label("Code").fill(code)
            page.get_by_role("button", name="Listen").click()
            page.get_by_role("button", name="Play").click()
            until(lambda: time_of(page) > 0.3)
            picture(page, "listen")


def test_firefox_plays_seeks_and_is_slowed_down(
    served: str, calls: list[str], tmp_path: Path
) -> None:
    with firefox(tmp_path / "profile", served) as window:
        window.goto("/login")
        window.type("#pbx", "10")
        window.type("#name", "alice")
        window.type("#password", "alice-password")
        window.press("Enter")
        until(lambda: window.script("return location.pathname") == "/calls")
        assert window.script("return document.querySelectorAll('a.play').length") == 4
        window.goto(f"/recordings/{calls[0]}#t=20")

        def now() -> float:
            return float(window.script("return document.getElementById('audio').currentTime"))

        window.click("#play")
        until(lambda: now() > 20.3, 20)
        window.press("ArrowRight")
        until(lambda: now() > 30)
        window.click("#forward")
        until(lambda: now() > 40)
        window.script("document.querySelector('[name=speed][value=\"0.75\"]').click()")
        assert window.script("return document.getElementById('audio').playbackRate") == 0.75
        drawn = (
            "const c = document.querySelector('canvas');"
            "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
            ".filter((v, i) => i % 4 === 3 && v > 0).length"
        )
        assert window.script(drawn) > 2000
        trouble = window.script(
            "const t = document.getElementById('trouble'); return t.hidden ? '' : t.textContent"
        )
        assert trouble == "" or "no sound output" in trouble  # machines that test have none
