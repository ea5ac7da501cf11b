"""Checks for upgrades: a real apt with a status file of its own and a repository that is really
signed, and what the housekeeper asks for and notes.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from common import commands, upgrade
from common.upgrade import Checked, Run
from daemons.housekeeper.upgrades import Upgrades
from tests.quiet import Quiet
from tests.repository import Repository, package
from tools.upgrading.repository import Repository as Source
from tools.upgrading.repository import Settings, versions

STATUS = """\
Package: callstash
Status: install ok installed
Maintainer: x <x@example.com>
Architecture: all
Version: {}
Description: x

"""
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where upgrades are asked for and written down."""
    for name in ("upgrade", "upgrade/runs", "requests"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(upgrade, "DIRECTORY", tmp_path / "upgrade")
    monkeypatch.setattr(upgrade, "REQUESTS", tmp_path / "requests")
    return tmp_path


@pytest.fixture
def vendor(place: Path) -> Iterator[Repository]:
    """The vendor's repository."""
    made = Repository(place / "repository", place / "keys")
    yield made
    made.close()


@pytest.fixture
def source(place: Path, vendor: Repository, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The repository as a machine with version 0.2.0 sees it."""
    (place / "status").write_text(STATUS.format("0.2.0"))
    config = place / "apt.conf"
    config.write_text(f'Dir::State::status "{place}/status";\nAPT::Sandbox::User "root";\n')
    monkeypatch.setenv("APT_CONFIG", str(config))
    monkeypatch.setenv("DPKG_ADMINDIR", str(place))
    return Source(Settings(f"file:{vendor.directory} ./", vendor.key), upgrade.DIRECTORY)


@pytest.mark.parametrize(
    ("offered", "found"), [("0.3.0", "0.3.0"), ("0.2.0", None), ("0.1.0", None), ("", None)]
)
def test_a_newer_version_is_found(
    place: Path, vendor: Repository, source: Source, offered: str, found: str | None
) -> None:
    vendor.publish(*([package(place, offered)] if offered else []))
    known = source.check()
    assert (known.installed, known.available, known.error) == ("0.2.0", found, None)
    assert upgrade.checked() == known


@pytest.mark.parametrize("who", ["thief", None])
def test_what_the_vendor_did_not_sign_is_not_believed_even_if_it_was_before(
    place: Path, vendor: Repository, source: Source, who: str | None
) -> None:
    new = package(place, "0.3.0")
    vendor.publish(new)
    assert source.check().available == "0.3.0"
    vendor.publish(new, signed_by=who)
    known = source.check()
    assert known.available is None
    assert known.error and known.error.startswith("The repository is not signed with the key in")


def test_what_is_not_configured_or_not_there_is_said_in_a_sentence(
    place: Path, vendor: Repository, source: Source
) -> None:
    here = upgrade.DIRECTORY
    for settings, words in (
        (Settings(), "No repository is configured"),
        (Settings("[trusted=yes] file:/x ./", vendor.key), "must be like"),
        (Settings("file:/x ./", place / "missing.asc"), "The key of the repository is not there"),
        (Settings("file:/nonexistent ./", vendor.key), "The repository can't be read."),
    ):
        known = Source(settings, here).check()
        assert known.available is None and known.error and words in known.error


def test_what_apt_does_not_say_is_nothing() -> None:
    assert versions("") == (None, None)
    assert versions("N: Unable to locate package callstash") == (None, None)


def test_only_with_a_contract_and_something_newer_an_upgrade_may_start() -> None:
    today, found = date(2026, 11, 24), Checked("", "1", "2", None)
    assert upgrade.refusal(found, today, today) == ""
    assert "not activated" in upgrade.refusal(found, None, today)
    assert "ended on 2026-11-23" in upgrade.refusal(found, today - timedelta(days=1), today)
    assert upgrade.refusal(Checked("", "1", None, None), today, today)
    assert upgrade.refusal(Checked("", "1", None, "No."), today, today) == "No."
    assert upgrade.refusal(None, today, today)


def test_an_upgrade_that_is_asked_for_goes_before_a_check(place: Path) -> None:
    assert upgrade.ask(upgrade.CHECK, "housekeeper", NOW)
    assert upgrade.ask(upgrade.CHECK, "sysadmin", NOW) is None
    begun = upgrade.ask(upgrade.START, "sysadmin", NOW)
    assert begun and upgrade.ask(upgrade.START, "sysadmin", NOW) is None
    assert upgrade.taken() == upgrade.taken() == begun
    assert (upgrade.wanted(), upgrade.asked()) == (None, begun)
    assert upgrade.ask(upgrade.START, "sysadmin", NOW) is None
    upgrade.drop()
    assert upgrade.taken() is None


def test_a_request_that_says_anything_else_is_none(place: Path) -> None:
    bad: tuple[Any, ...] = ({"id": "../../x", "do": "start", "by": "x"}, {"do": "start"}, [],
                  {"id": upgrade.new_id(NOW), "do": "rm -r /", "by": "x"})  # fmt: skip
    for known in bad:
        (upgrade.REQUESTS / "wanted").write_text(json.dumps(known))
        assert upgrade.taken() is None
        upgrade.drop()


def test_the_housekeeper_asks_daily_and_notes_what_came_of_it_once(
    place: Path, db: psycopg.Connection[Any], connect_as: Callable[[str], psycopg.Connection[Any]]
) -> None:
    now = [NOW]
    upgrades = Upgrades(connect_as("housekeeper"), lambda: now[0], ZoneInfo("UTC"))
    life: Any = Quiet()
    upgrades.turn(life)
    asked = upgrade.taken()
    assert asked and (asked.do, asked.by) == (upgrade.CHECK, "housekeeper")
    upgrade.drop()
    upgrade.save(upgrade.DIRECTORY / "checked.json", vars(Checked("now", "1", "2", None)))
    text = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    run = Run(upgrade.new_id(NOW), "sysadmin", "1", "2", text, text, "failed", "It did not run.")
    upgrade.save(upgrade.DIRECTORY / "runs" / f"{run.id}.json", vars(run))
    upgrades.turn(life)
    assert upgrade.wanted() is None
    Upgrades(connect_as("housekeeper"), lambda: now[0], ZoneInfo("UTC")).turn(life)
    assert db.execute("SELECT installed, candidate, error FROM upgrade").fetchone() == (
        "1", "2", None,
    )  # fmt: skip
    assert db.execute("SELECT id, outcome::text FROM upgrade_run").fetchall() == [
        (run.id, "failed")
    ]
    audit = "SELECT actor, action FROM audit WHERE action LIKE 'upgrade.%'"
    assert db.execute(audit).fetchall() == [("sysadmin", "upgrade.failed")]
    assert upgrade.taken()
    upgrade.drop()
    now[0] += timedelta(days=1)
    upgrades.turn(life)
    assert upgrade.wanted()


def test_what_the_web_ui_asks_for_is_refused_without_a_contract(
    place: Path, db: psycopg.Connection[Any], connect_as: Callable[[str], psycopg.Connection[Any]]
) -> None:
    upgrades = Upgrades(connect_as("housekeeper"), lambda: datetime.now(UTC), ZoneInfo("UTC"))
    upgrade.save(upgrade.DIRECTORY / "checked.json", vars(Checked("now", "1", "2", None)))
    web, life = connect_as("web"), Quiet()

    def ask(kind: str) -> commands.Answer | None:
        with web.transaction():
            command = commands.ask(web, "housekeeper", kind, {}, "sysadmin")
        upgrades.turn(life)  # type: ignore[arg-type]
        return commands.wait(web, command, 0)

    refused = ask("upgrade.start")
    assert refused and not refused.succeeded and "not activated" in refused.answer
    asked = upgrade.wanted()
    assert asked is None or asked.do == upgrade.CHECK
    db.execute("INSERT INTO licence (document, serial, pbxs, activated, support_until)"
               " VALUES ('{}', '1', 3, '2026-01-05', '2099-01-05')")  # fmt: skip
    begun = ask("upgrade.start")
    assert begun and begun.succeeded
    asked = upgrade.wanted()
    assert asked and (asked.do, asked.by) == (upgrade.START, "sysadmin")
    again = ask("upgrade.start")
    assert again and not again.succeeded
