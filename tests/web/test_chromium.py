"""The web UI as it is served, in a real Chromium: log in, hear a recording, seek, lose the file."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from common.db import Connection
from tests.waiting import until
from tests.web.building import Archive, tone
from tests.web.serving import ARGUMENTS
from tests.web.world import World


@pytest.fixture
def page(served: str) -> Iterator[Page]:
    """A page of Chromium in which sysadmin is logged in and nothing was complained about."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(base_url=served)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        page.goto("/")
        page.get_by_label("PBX").fill("admin")
        page.get_by_label("User name").fill("sysadmin")
        page.get_by_label("Password").fill("Tall-Heron-41")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="PBXs")).to_be_visible()
        yield page
        browser.close()
    assert complaints == []


def time_of(page: Page) -> float:
    """Return where the player is."""
    return float(page.evaluate("document.getElementById('audio').currentTime"))


def test_somebody_finds_a_call_and_hears_it(page: Page, archive: Archive, db: Connection) -> None:
    company = archive.company()
    recording, _ = archive.stored(company, tone(60), duration=60)
    page.get_by_role("navigation").get_by_role("link", name="Companies").click()
    page.get_by_role("link", name="Harbour Legal", exact=True).click()
    page.locator("a.play").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Alice Example")
    expect(page.locator("#now")).to_have_text("0:00")
    assert page.evaluate("document.getElementById('audio').readyState") == 0
    page.get_by_role("button", name="Play").click()
    until(lambda: time_of(page) > 0.3)
    box = page.locator(".wave").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    until(lambda: time_of(page) > 45.2)
    assert 45 < time_of(page) < 50
    page.keyboard.press("ArrowLeft")
    until(lambda: time_of(page) < 42)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert re.search(r"#t=(3[4-9]|40|41)$", page.url)
    rows = db.execute("SELECT actor, subject FROM audit WHERE action = 'recording.play'").fetchall()
    assert rows == [("sysadmin", f"recording:{recording}")]


def test_the_time_in_the_address_is_where_it_begins(page: Page, archive: Archive) -> None:
    recording, _ = archive.stored(archive.company(), tone(60), duration=60)
    page.goto(f"/recordings/{recording}#t=31")
    expect(page.locator("#now")).to_have_text("0:31")
    expect(page.get_by_label("Position")).to_have_attribute("aria-valuetext", "0:31 of 1:00")
    page.keyboard.press("Space")
    until(lambda: time_of(page) > 31.2)
    page.get_by_label("2×", exact=True).check()
    assert page.evaluate("document.getElementById('audio').playbackRate") == 2


def test_the_waveform_is_there_before_any_sound(page: Page, archive: Archive) -> None:
    recording, _ = archive.stored(archive.company(), tone(60))
    page.goto(f"/recordings/{recording}")
    drawn = """() => {
        const canvas = document.querySelector("canvas");
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, index) => index % 4 === 3 && value > 0).length;
    }"""
    until(lambda: page.evaluate(drawn) > 5000)
    assert page.evaluate("document.getElementById('audio').readyState") == 0


def test_a_file_that_was_altered_is_said_in_words(page: Page, archive: Archive) -> None:
    recording, _ = archive.stored(archive.company(), tone(5))
    page.goto(f"/recordings/{recording}")
    archive.path(recording).write_bytes(b"altered")
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#trouble")).to_contain_text("missing or was altered")


def test_the_first_page_follows_what_happens_and_keeps_the_focus(
    page: Page, archive: Archive, db: Connection
) -> None:
    company = archive.company()
    link = page.get_by_role("link", name="Head office", exact=True)
    expect(link).to_be_visible(timeout=10_000)
    link.focus()
    db.execute("INSERT INTO company_usage VALUES (%s, 1, 4321, 9000000)", [company])
    expect(page.get_by_text("4,321").first).to_be_visible(timeout=10_000)
    expect(link).to_be_focused()


@pytest.mark.parametrize("width", [375, 1280])
def test_no_page_is_wider_than_the_screen(
    page: Page, archive: Archive, world: World, db: Connection, width: int
) -> None:
    db.execute("UPDATE company SET label = 'A company with a remarkably long name of many words'")
    company = int(world.known["company_id"])
    archive.stored(company, caller="W" * 60)
    archive.listed(company, callee="M" * 60)
    page.set_viewport_size({"width": width, "height": 800})
    for address in [*world.pages(), "/nothing"]:
        page.goto(address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, address
