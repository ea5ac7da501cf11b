"""The player that lies beside exported recordings, opened from the disk in Chromium and Firefox."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from common.playback import KeyRing, open_recording
from common.queries import leaving
from tests.unit import sounds
from tests.waiting import until
from tests.web.building import MASTER, Archive, tone
from tests.web.bundles import PASSPHRASE, Bundle, export
from tests.web.firefox import firefox
from tests.web.serving import ARGUMENTS

PICTURES = os.environ.get("PICTURES")  # a directory for screenshots on the way
LONG = 65  # seconds: more than is decoded of GSM at a time


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page about which nothing was complained and that asked nobody for anything."""
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, timezone_id="UTC")
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
    page.on("request", lambda request: complaints.append(request.url))
    yield page
    context.close()
    held = ("Connecting to 'https://example.com/'", "Fetch API cannot load https://example.com/")
    harmless = ("file:", "blob:", "data:", *held)
    assert [said for said in complaints if not said.startswith(harmless)] == []


def served(archive: Archive, call: UUID) -> bytes:
    """Return what the box serves of a call: WAV, or the MP3 that the PBX sent."""
    row = leaving.call(archive.db, call)
    assert row is not None
    opened = open_recording(archive.store, KeyRing(MASTER), row)
    with closing(opened.file):
        source = opened.rendition()
        return b"".join(source.read_range(0, source.size))


def open_bundle(page: Page, bundle: Bundle, passphrase: str = PASSPHRASE) -> None:
    page.goto(bundle.player)
    page.get_by_label("Folder that was exported").set_input_files(bundle.directory)
    page.get_by_label("Private key").set_input_files(bundle.key)
    page.get_by_label("Passphrase of the key").fill(passphrase)
    page.keyboard.press("Enter")


def open_call(page: Page, call: UUID) -> None:
    page.locator(f'a[href="#{call}"]').click()


def picture(page: Page, name: str) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.evaluate("innerWidth"), name
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


LINEAR = ("pcm", "ulaw", "alaw", "pcm8", "pcm24", "pcm32", "float32")


def every_codec(archive: Archive, company: int, linear: tuple[str, ...] = LINEAR) -> list[UUID]:
    made = [archive.sent(company, sounds.recording(codec), "audio/wav") for codec in linear]
    made.append(archive.sent(company, sounds.recording("mp3"), "audio/mpeg"))
    made.append(archive.sent(company, sounds.recording("gsm", 1, LONG), "audio/wav"))
    made.append(archive.sent(company, sounds.recording("pcm24", 2), "audio/wav"))
    return made


def test_chromium_saves_every_codec_byte_for_byte_as_the_box_serves_it(
    page: Page, archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    calls = every_codec(archive, company)
    open_bundle(page, export(archive, company, tmp_path))
    expect(page.get_by_role("heading", name=f"{len(calls)} calls")).to_be_visible()
    picture(page, "leaving-list")
    for call in calls:
        open_call(page, call)
        expect(page.locator("#checked")).to_contain_text("Unchanged")
        with page.expect_download() as saved:
            page.get_by_role("button", name=re.compile("Save as (WAV|MP3)")).click()
        assert saved.value.path().read_bytes() == served(archive, call)
        assert "1001 Alice Example to +44 20 7946 0018" in saved.value.suggested_filename
        page.get_by_role("link", name="All calls").click()


def test_firefox_plays_and_saves_byte_for_byte_what_the_box_serves(
    archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    calls = every_codec(archive, company, ("ulaw", "float32"))
    bundle, profile = export(archive, company, tmp_path), tmp_path / "profile"
    with firefox(profile, "") as window:
        text = "return document.querySelector(arguments[0]).textContent"
        window.goto(bundle.player)
        window.choose_directory("#folder", bundle.directory)
        window.type("#key", str(bundle.key))
        until(lambda: window.script("return !document.getElementById('phrase').hidden"))
        window.type("#passphrase", "wrong")
        window.click("#open button")
        until(lambda: "does not open" in window.script(text, "#wrong"))
        window.script("document.getElementById('passphrase').value = ''")
        window.type("#passphrase", PASSPHRASE)
        window.click("#open button")
        until(lambda: window.script(text, "#found") == f"{len(calls)} calls")
        for call in calls:
            window.script("location.hash = arguments[0]", str(call))
            until(lambda: "Unchanged" in window.script(text, "#checked"))
            window.click("#play")
            until(lambda: window.script(text, "#now") not in ("", "0:00"))
            window.click("#save")
            saved = served(archive, call)
            found = profile / "downloads"
            until(lambda: any(path.read_bytes() == saved for path in found.glob("*")))  # noqa: B023
        victim = next(bundle.directory.rglob(f"{calls[1]}.csrec"))
        victim.write_bytes(victim.read_bytes()[:-1])
        window.script("location.hash = arguments[0]", str(calls[1]))
        until(lambda: victim.name in window.script(text, "#trouble"))
        assert window.script("return document.getElementById('save').disabled")


def test_a_call_of_two_hours_starts_at_once_and_is_sought_by_keyboard(
    page: Page, archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    call, _ = archive.stored(company, tone(60) * 120, duration=7200)
    open_bundle(page, export(archive, company, tmp_path))
    open_call(page, call)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#now")).to_have_text("0:01")
    page.get_by_label("Position").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#now")).to_have_text("1:59:51")
    expect(page.get_by_label("Position")).to_have_attribute(
        "aria-valuetext", re.compile("1:59:.. of 2:00:00")
    )
    expect(page.locator("#checked")).to_contain_text("Unchanged", timeout=30_000)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    picture(page, "leaving-call")


def test_what_was_altered_is_named_and_neither_heard_nor_saved(
    page: Page, archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    short, _ = archive.stored(company, tone(3))
    long, _ = archive.stored(company, tone(60) * 25)
    bundle = export(archive, company, tmp_path)
    for name in ("calls.csv", "manifest.json", "manifest.sig", "decrypt.py", "signer.pem"):
        whole = (bundle.directory / name).read_bytes()
        (bundle.directory / name).write_bytes(whole[:300].swapcase() + whole[300:])
        open_bundle(page, bundle)
        expect(page.get_by_role("alert").first).to_contain_text(name)
        expect(page.locator("#list")).to_be_hidden()
        (bundle.directory / name).write_bytes(whole)
    for call in (short, long):
        file = next(bundle.directory.rglob(f"{call}.csrec"))
        whole = file.read_bytes()
        middle = whole[: len(whole) // 2] + b"x" + whole[len(whole) // 2 + 1 :]
        for altered in (middle, whole[:-1], whole + b"x", whole[:20] + b"x" + whole[21:], None):
            file.unlink()
            if altered is not None:
                file.write_bytes(altered)
            open_bundle(page, bundle)
            open_call(page, call)
            expect(page.locator("#trouble")).to_contain_text(file.name)
            for button in ("Save as WAV", "Save as the PBX sent it"):
                expect(page.get_by_role("button", name=button)).to_be_disabled()
            expect(page.locator("#player")).to_be_hidden()
            file.write_bytes(whole)


def test_a_wrong_key_is_said_and_another_key_is_asked_for(
    page: Page, archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    call, _ = archive.stored(company, tone(1))
    bundle = export(archive, company, tmp_path)
    open_bundle(page, bundle, "not this one")
    expect(page.locator("#wrong")).to_contain_text("does not open with this passphrase")
    expect(page.get_by_label("Passphrase of the key")).to_be_focused()
    bundle.key.write_text("no key")
    page.goto(bundle.player)
    page.get_by_label("Folder that was exported").set_input_files(bundle.directory)
    page.get_by_label("Private key").set_input_files(bundle.key)
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#trouble")).to_contain_text("is not a private key")
    other = tmp_path / "other.key"
    sounds_key = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    os.spawnvp(os.P_WAIT, "openssl", [*sounds_key, "-quiet", "-out", str(other)])
    page.get_by_label("Private key").set_input_files(other)
    page.get_by_role("button", name="Open").click()
    open_call(page, call)
    expect(page.locator("#trouble")).to_contain_text("Choose that one, too.")


HOSTILE = '"><img src=x onerror=alert(1)><script>document.title="x"</script>'


def test_what_a_caller_is_called_is_text_and_never_runs(
    page: Page, archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    archive.stored(company, tone(1), caller="200", callee="=1+1")
    archive.db.execute("UPDATE recording SET caller_name = %s", [HOSTILE])
    archive.db.execute("UPDATE company SET label = %s", [HOSTILE])
    bundle = export(archive, company, tmp_path)
    assert "label" in json.loads((bundle.directory / "manifest.json").read_text())["company"]
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    open_bundle(page, bundle)
    row = page.locator("#rows tr").nth(1)
    expect(row).to_contain_text(HOSTILE)
    expect(row).to_contain_text("=1+1")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    expect(page.locator("#checked")).to_contain_text("Unchanged")
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("fetch('https://example.com').then(() => 'sent', () => 'held')") == "held"


def test_calls_are_found_by_number_name_and_day_on_a_narrow_dark_screen(
    page: Page, archive: Archive, tmp_path: Path
) -> None:
    company = archive.company()
    for number in range(250):
        archive.listed(company)
        archive.stored(
            company, b"", callee=f"01632 960{number:03}", caller="1001",
            started_at=datetime(2026, 1 + number % 3, 5, 12, number % 60, tzinfo=UTC),
        )  # fmt: skip
    archive.db.execute("UPDATE recording SET caller_name = 'Ängström' WHERE callee LIKE '%%7'")
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    open_bundle(page, export(archive, company, tmp_path))
    heading = page.locator("#found")
    expect(heading).to_have_text("250 calls")
    assert page.locator("#rows a").count() == 200
    picture(page, "leaving-narrow")
    page.get_by_role("button", name="Show more").click()
    assert page.locator("#rows a").count() == 250
    for words, count in (("01632-960 123", "1 call"), ("ängström", "25 calls"),
                         ("2026-03", "83 calls"), ("ängström 2026-03-05", "8 calls"),
                         ("nobody", "0 calls")):  # fmt: skip
        page.get_by_label("Number, name or day").fill(words)
        expect(heading).to_have_text(count)
