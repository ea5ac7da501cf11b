"""Day one: an administrator sets a new box up in a real Chromium, with real daemons behind it."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from devtools.installation import Installation
from devtools.process import free_port
from simulators.licence import server as licence
from simulators.licence.vendor import Vendor
from simulators.mail import server as mail
from simulators.pbx import client
from tests.waiting import until
from tests.web.serving import ARGUMENTS

SYSADMIN, ADMIN = "Tall-Heron-41", "Small-Otter-97"
PICTURES = os.environ.get("PICTURES")  # a directory for screenshots on the way


@dataclass
class Surroundings:
    """A new box and what is around it."""

    address: str
    ours: Installation
    pbx: client.Running
    vendor: Vendor
    mailbox: mail.Mailbox
    mail_port: int


@pytest.fixture
def around(dsn: str, broker_url: str, tmp_path: Path) -> Iterator[Surroundings]:
    """A new box with all daemons, a vendor, a PBX with a certificate of its own, a mail server."""
    with ExitStack() as running:
        pbx = running.enter_context(client.start("--tls", "--scenario", "small"))
        vendor = running.enter_context(licence.serving(Vendor(tmp_path / "vendor")))
        mailbox = mail.Mailbox()
        port = running.enter_context(mail.serving(mailbox))
        ours = Installation(
            tmp_path, dsn, broker_url, tmp_path / "companies",
            f'[housekeeper]\nlicence_server = "{vendor.url}"\n'
            f'licence_key = "{vendor.vendor.public_key}"\n'
            f'database_directory = "{tmp_path}"\n'
            "[poller]\nsettle_seconds = 0\n",
        )  # fmt: skip
        running.callback(ours.stop)
        for name in ("housekeeper", "notifier", "poller", "archiver@1"):
            ours.start(name)
        web = f"127.0.0.1:{free_port()}"
        ours.start_web(web)
        until(lambda: _answers(web) or ours.tend(), 30)
        yield Surroundings(f"http://{web}", ours, pbx, vendor.vendor, mailbox, port)
        assert ours.tend() == []


def _answers(web: str) -> bool:
    host, port = web.split(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture
def page(around: Surroundings) -> Iterator[Page]:
    """A page of Chromium about which nothing was complained."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(base_url=around.address)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        browser.close()
    assert complaints == []


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("PBX").fill("admin")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()


def set_password(page: Page, password: str) -> None:
    expect(page.get_by_role("heading", name="Set password")).to_be_visible()
    page.get_by_label("New password", exact=True).fill(password)
    page.get_by_label("New password, once more").fill(password)
    page.get_by_role("button", name="Set password").click()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def activate(page: Page, code: str) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="Activate this CallStash")).to_be_visible()
    field = page.get_by_label("38 character activation code")
    field.fill(code[:-1] + ("0" if code[-1] != "0" else "1"))
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("typing mistake")).to_be_visible()
    picture(page, "activation")
    field.fill(code)
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def add_pbx(page: Page, around: Surroundings) -> None:
    page.get_by_role("link", name="Add PBX").click()
    page.get_by_label("Name", exact=True).fill("Head office")
    page.get_by_label("PBX URL or server name").fill(around.pbx.url)
    page.get_by_label("API access token").fill("not the token")
    page.get_by_label("30 minutes").check()
    page.get_by_role("button", name="Check and add").click()
    expect(page.get_by_role("heading", name="Compare the certificate")).to_be_visible()
    picture(page, "certificate")
    page.get_by_role("button", name=re.compile("Accept")).click()
    expect(page.locator("#token-wrong")).to_be_visible()
    picture(page, "wrong-token")
    page.get_by_label("API access token").fill(client.KEY)
    page.get_by_role("button", name="Check and add").click()
    page.get_by_role("button", name=re.compile("Accept")).click()
    expect(page.get_by_text("Head office was added")).to_be_visible()


def watch_the_first_poll(page: Page, around: Surroundings) -> None:
    expect(page.locator("details summary").first).to_contain_text("new recording", timeout=60_000)
    expect(page.get_by_text("Nothing: all that the PBX listed is stored.")).to_be_visible()
    picture(page, "pbx")
    with around.ours.connect() as db:
        row = db.execute("SELECT count(*), min(state), max(state) FROM recording").fetchone()
        assert row == (around.pbx.control("status")["offered"], "stored", "stored")


def set_retention(page: Page) -> None:
    page.get_by_role("link", name="Never delete recordings").click()
    page.get_by_label("Older than 5 years").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing is deleted by this")).to_be_visible()


def configure_mail(page: Page, around: Surroundings) -> None:
    page.get_by_text("No e-mail server is set up").get_by_role("link").click()
    page.get_by_label("Host name").fill("127.0.0.1")
    page.get_by_label("none, most often").check()
    page.locator("#port").fill("1")
    page.get_by_role("button", name="Connect and save").click()
    expect(page.get_by_text("refuses connections on port 1")).to_be_visible()
    picture(page, "mail")
    page.locator("#port").fill(str(around.mail_port))
    page.get_by_role("button", name="Connect and save").click()
    expect(page.get_by_text("accepts mail from CallStash")).to_be_visible()
    page.get_by_role("link", name="Notifications").click()
    page.get_by_label("From address").fill("callstash@example.com")
    page.get_by_label("Send e-mails to").fill("ann@example.com, bob@example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The notifications are saved")).to_be_visible()
    picture(page, "notifications")
    page.get_by_role("link", name="E-mail server").click()
    page.get_by_role("button", name="Send test mail").click()
    expect(page.get_by_text("A test mail was sent to")).to_be_visible()
    assert around.mailbox.arrived.wait(10)
    assert around.mailbox.envelopes[0][1] == ["ann@example.com", "bob@example.com"]


def look_around(page: Page) -> None:
    page.get_by_role("link", name="Home", exact=True).click()
    expect(page.get_by_role("heading", name="Disk usage")).to_be_visible()
    expect(page.get_by_text("No e-mail server is set up")).to_be_hidden()
    expect(page.locator("#disk-audio")).to_contain_text("audio")
    picture(page, "home")
    for menu, heading in (
        ("Companies", "Companies"),
        ("Legal holds", "Legal holds"),
        ("Audit log", "Audit log"),
        ("System", "System"),
    ):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=menu).click()
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        picture(page, menu.lower().replace(" ", "-"))
    expect(page.locator("#queue-poller")).to_contain_text("1")


def test_an_administrator_sets_a_new_box_up(page: Page, around: Surroundings) -> None:
    activate(page, around.vendor.sell(pbxs=1))
    log_in(page, "sysadmin", "password")
    picture(page, "set-password")
    set_password(page, SYSADMIN)
    expect(page.get_by_text("admin still has the factory password")).to_be_visible()
    picture(page, "first-home")
    add_pbx(page, around)
    watch_the_first_poll(page, around)
    set_retention(page)
    page.goto("/")
    configure_mail(page, around)
    look_around(page)
    page.goto("/pbxs/add")
    page.get_by_label("Name", exact=True).fill("Second")
    page.get_by_label("PBX URL or server name").fill("pbx2.example.com")
    page.get_by_label("API access token").fill("x")
    page.get_by_role("button", name="Check and add").click()
    expect(page.get_by_text("The licence is for 1 PBX, and there are 1")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    log_in(page, "admin", "password")
    set_password(page, ADMIN)
    expect(page.get_by_role("heading", name="PBXs")).to_be_visible()
    expect(page.get_by_role("link", name="Add PBX")).to_be_hidden()
    expect(page.get_by_role("link", name="Settings")).to_be_hidden()
