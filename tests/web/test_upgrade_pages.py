"""The page of upgrades: what there is, why it can't be installed, the log, and what was done."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from common import upgrade
from common.db import Connection
from common.upgrade import CHECK, START, Checked
from daemons.housekeeper.upgrades import Upgrades
from tests.quiet import working
from tests.web.browser import Browser
from tests.web.building import Archive

PAGE = "/settings/upgrade"
NOW = "2026-11-24T12:00:00+00:00"
RUN = "20261124T120000Z-0123abcd"


@pytest.fixture
def box(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where upgrades are asked for and written down, with a newer version that was found."""
    for name in ("upgrade/runs", "requests"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(upgrade, "DIRECTORY", tmp_path / "upgrade")
    monkeypatch.setattr(upgrade, "REQUESTS", tmp_path / "requests")
    upgrade.save(tmp_path / "upgrade/checked.json", vars(Checked(NOW, "0.1", "0.2", None)))
    return tmp_path / "upgrade"


def test_a_check_and_an_upgrade_are_asked_for_and_shown(
    box: Path, sysadmin: Browser, connect_as: Callable[[str], psycopg.Connection[object]]
) -> None:
    assert "Start upgrade to 0.2" in sysadmin.get(PAGE).text
    with working(Upgrades(connect_as("housekeeper"), lambda: datetime.now(UTC), UTC).turn):
        sysadmin.post(f"{PAGE}/start", page=PAGE)
    asked = upgrade.taken()
    assert asked and (asked.do, asked.by) == (START, "sysadmin")
    upgrade.drop()
    upgrade.save(box / "state.json", {"id": RUN, "before": "0.1", "after": "0.2"})
    (box / "runs" / f"{RUN}.log").write_text("12:00:00 stopping <the> services\n")
    page = sysadmin.get(PAGE).text
    assert "Version 0.2 is being installed" in page
    assert "stopping &lt;the&gt; services" in page
    assert "Start upgrade" not in page and "Check for upgrades" not in page
    known = {"id": RUN, "before": "0.1", "after": "0.2", "reason": "It does not run."}
    upgrade.save(box / "state.json", known)
    assert "version 0.1 is being put back" in sysadmin.get(PAGE).text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Checked(NOW, "0.1", None, None), "There is no newer version."),
        (Checked(NOW, "0.1", None, "The repository can't be read."), "can&#39;t be read."),
        (None, "Nobody has looked yet"),
    ],
)
def test_what_keeps_it_from_being_upgraded_is_said(
    box: Path, sysadmin: Browser, found: Checked | None, words: str
) -> None:
    (box / "checked.json").unlink()
    if found:
        upgrade.save(box / "checked.json", vars(found))
    page = sysadmin.get(PAGE).text
    assert words in page and "Start upgrade" not in page and "Check for upgrades" in page


def test_without_a_contract_nothing_is_offered_and_nothing_begins(
    box: Path,
    sysadmin: Browser,
    db: Connection,
    connect_as: Callable[[str], psycopg.Connection[object]],
) -> None:
    db.execute("UPDATE licence SET support_until = '2026-01-06'")
    page = sysadmin.get(PAGE).text
    assert "The support contract ended on 2026-01-06" in page and "Start upgrade" not in page
    with working(Upgrades(connect_as("housekeeper"), lambda: datetime.now(UTC), UTC).turn):
        sysadmin.post(f"{PAGE}/start", page=PAGE)  # by hand
    asked = upgrade.wanted()
    assert asked is None or asked.do == CHECK
    assert "The support contract ended" in sysadmin.get(PAGE).text


def test_what_was_done_is_listed_with_the_log_of_the_last(
    box: Path, sysadmin: Browser, db: Connection
) -> None:
    db.execute(
        "INSERT INTO upgrade_run VALUES (%s, 'sysadmin', '0.1', '0.2', %s, %s, 'failed',"
        " 'The service x does not run. Version 0.1 runs again.')",
        [RUN, NOW, NOW],
    )
    (box / "runs" / f"{RUN}.log").write_text("12:00:01 installing version 0.1 again\n")
    page = sysadmin.get(PAGE).text
    assert "Version 0.1 runs again." in page and "installing version 0.1 again" in page


def test_the_first_page_offers_a_newer_version_to_who_may_install_it(
    box: Path, log_in: Callable[[str], Browser], db: Connection
) -> None:
    assert "Check for upgrades" in log_in("sysadmin").get("/").text
    db.execute("INSERT INTO upgrade (checked_at, installed, candidate) VALUES (now(), '1', '2')")
    page = log_in("sysadmin").get("/").text
    assert "2 is available" in page and f'href="{PAGE}"' in page
    page = log_in("admin").get("/").text
    assert "2 is available" in page and f'href="{PAGE}"' not in page


def test_nobody_else_asks_for_anything(
    box: Path, log_in: Callable[[str], Browser], as_user: Callable[..., Browser], archive: Archive
) -> None:
    for browser, form in ((as_user(archive.user("alice")), "/calls"), (log_in("admin"), "/")):
        assert browser.get(PAGE).status_code == 403
        assert browser.post(f"{PAGE}/start", page=form).status_code == 403
    assert upgrade.wanted() is None
