"""Upgrades from a signed repository, on a Debian with systemd: good ones, broken ones, and those
that a kill cuts off at each of their steps.

The tests are one story in this order: each goes on with the machine as the one before left it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import __version__
from tests.repository import Repository, broken
from tests.vm.conftest import NEWER
from tests.vm.guest import BALANCED, CONFIG, Browser, Guest
from tests.waiting import until

BAD = f"{NEWER}.broken"
PASSWORD = "correct-horse-battery-staple"
PLACE = "/var/lib/callstash/upgrade"
PORT = 8099
URL = f"http://127.0.0.1:{PORT}"
FORWARD = ("fetch", "stop", "dump", "install", "start")
BACK = ("halt", "reinstall", "restore", "restart")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def repository(
    packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Repository]:
    """The vendor's repository, in a directory that the guest sees."""
    place = packages[0].parent / "repository"
    made = Repository(place, tmp_path_factory.mktemp("gnupg") / "keys")
    yield made
    made.close()


def check(guest: Guest) -> dict[str, Any]:
    """Return what `callstash upgrade check` says."""
    known: dict[str, Any] = json.loads(guest.sh("callstash upgrade check --json"))
    return known


def start(guest: Guest) -> tuple[int, str]:
    """Upgrade, and return the status and the log."""
    said = guest.sh("callstash upgrade start --follow 2>&1; echo $?", timeout=400)
    log, _, status = said.rpartition("\n")
    return int(status or said), log


def last(guest: Guest) -> dict[str, Any]:
    """Return how the last upgrade ended."""
    known: dict[str, Any] = json.loads(guest.sh(f"cat $(ls {PLACE}/runs/*.json | tail -1)"))
    return known


def version(guest: Guest) -> str:
    """Return the one version that is installed completely and says that it is."""
    state, _, found = guest.sh(
        "dpkg-query -W -f '${db:Status-Status} ${Version}' callstash"
    ).partition(" ")
    assert (state, guest.sh("callstash --version").split()[-1]) == ("installed", found)
    assert guest.sh("dpkg --audit") == ""
    return found


def nothing_left(guest: Guest) -> None:
    """Assert that an upgrade left neither a copy of the database nor anything half done."""
    until(lambda: not guest.holds(f"test -e {PLACE}/state.json"), 30)
    kept = set(guest.sh(f"ls {PLACE}").split())
    assert kept == {"apt", "checked.json", "lock", "packages", "runs"}
    names = guest.sql("SELECT datname FROM pg_database WHERE datname LIKE 'callstash%'")
    assert names == ["callstash"]


def kill_in(guest: Guest, step: str) -> None:
    """Kill all processes of the upgrade in one of its steps."""
    guest.sh(
        f'until grep -q \'"step": "{step}"\' {PLACE}/state.json; do :; done 2>/dev/null;'
        " systemctl kill --signal=KILL callstash-upgrade.service"
    )


def test_without_a_repository_nothing_is_offered(guest: Guest, packages: tuple[Path, Path]) -> None:
    guest.install(packages[0])
    until(guest.well, 180)
    found = check(guest)
    assert (found["installed"], found["available"], found["allowed"]) == (__version__, None, False)
    assert start(guest)[0] == 2


def test_an_upgrade_needs_a_contract(
    guest: Guest, packages: tuple[Path, Path], repository: Repository
) -> None:
    repository.publish(*packages)
    guest.sh(f"systemd-run --quiet --unit=sim-repository python3 -m http.server {PORT}"
             f" --bind 127.0.0.1 --directory {repository.directory}")  # fmt: skip
    guest.sh(f"cp {repository.key} /etc/callstash/repository.asc")
    guest.sh(f"sed -i 's|^#repository = .*|repository = \"{URL} ./\"|' {CONFIG}")
    until(lambda: guest.holds(f"curl -sf {URL}/InRelease"))
    found = check(guest)
    assert (found["available"], found["allowed"]) == (NEWER, False)
    assert "not activated" in found["reason"]
    guest.activate()
    guest.add_pbx()
    assert check(guest) == {
        "installed": __version__, "available": NEWER, "allowed": True, "reason": "",
    }  # fmt: skip
    guest.sql("UPDATE licence SET support_until = '2020-02-02'")
    assert "2020-02-02" in check(guest)["reason"]
    status, said = start(guest)
    assert status == 2 and "support contract ended" in said
    guest.sql("UPDATE licence SET support_until = '2099-02-02'")


@pytest.mark.parametrize("who", ["thief", None])
def test_what_the_vendor_did_not_sign_is_not_offered(
    guest: Guest, packages: tuple[Path, Path], repository: Repository, who: str | None
) -> None:
    repository.publish(*packages, signed_by=who)
    found = check(guest)
    assert (found["available"], found["allowed"]) == (None, False)
    assert "not signed with the key" in found["reason"]
    assert start(guest)[0] == 2


def test_a_package_that_was_altered_is_not_installed(
    guest: Guest, packages: tuple[Path, Path], repository: Repository
) -> None:
    repository.publish(*packages)
    with (repository.directory / packages[1].name).open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"altered")
    status, said = start(guest)
    assert status == 1 and "Nothing was changed" in said
    assert version(guest) == __version__ and guest.well()
    assert guest.property("poller", "NRestarts") == "0"
    nothing_left(guest)


def test_started_in_the_web_ui_and_killed_at_each_step_it_arrives(
    guest: Guest, packages: tuple[Path, Path], repository: Repository
) -> None:
    repository.publish(*packages)
    until(lambda: guest.stored() == len(guest.pbx("offered")["calls"]), 60)
    guest.sh("callstash passwd sysadmin", stdin=f"{PASSWORD}\n")
    browser = Browser(guest)
    browser.log_in(PASSWORD)
    assert browser.send("/settings/upgrade", "/settings/upgrade/check") == "303"
    until(lambda: f"Start upgrade to {NEWER}" in browser.get("/settings/upgrade"), 60)
    assert browser.send("/settings/upgrade", "/settings/upgrade/start") == "303"
    for step in FORWARD:
        kill_in(guest, step)
    until(lambda: last(guest)["outcome"] == "done", 120)
    assert (last(guest)["before"], last(guest)["after"]) == (__version__, NEWER)
    assert last(guest)["by"] == "sysadmin"
    assert version(guest) == NEWER and guest.well()
    assert guest.books() == BALANCED
    nothing_left(guest)
    until(lambda: f"Version {NEWER} runs." in browser.get("/settings/upgrade"), 60)
    assert f"installing version {NEWER}" in browser.get("/settings/upgrade")
    audit = "SELECT actor FROM audit WHERE action = 'upgrade.done'"
    assert guest.sql(audit) == ["sysadmin"]
    assert check(guest)["reason"] == "There is no newer version."


def from_the_console(guest: Guest, directory: Path, version: str, end: str) -> str:
    """Upgrade to a version in callstash-config, until its screen says the end; return the log."""
    guest.sh("touch /etc/callstash/configured")
    terminal = guest.terminal(directory, "callstash-config")
    terminal.sees("Please select")
    terminal.press("5", "Enter")
    terminal.sees(f"and {version} is there", "Shall it be installed now?", timeout=60)
    terminal.press("Enter")
    terminal.sees(end, timeout=400)
    terminal.hang_up()
    return guest.sh("callstash upgrade log")


def test_a_version_that_does_not_come_up_is_undone(
    guest: Guest, packages: tuple[Path, Path], repository: Repository, tmp_path: Path
) -> None:
    repository.publish(*packages, broken(packages[1], NEWER, BAD))
    before = guest.stored()
    guest.pbx("add_calls", company="default", count=5, ago_s=600)
    schema = guest.sql("SELECT version FROM schema_migration ORDER BY version")
    guest.sql("UPDATE poll_schedule SET next_poll_at = now() + '20 s'::interval")  # in its time
    said = from_the_console(guest, tmp_path, BAD, f"Version {NEWER} runs again.")
    assert last(guest)["outcome"] == "failed"
    assert "callstash-notifier does not run" in said and "this release has a mistake" in said
    assert said.endswith(f"Version {NEWER} runs again.")
    assert version(guest) == NEWER and guest.well()
    assert guest.sql("SELECT version FROM schema_migration ORDER BY version") == schema
    nothing_left(guest)
    until(lambda: guest.stored() == before + 5, 60)
    balance = guest.books()
    # what the broken release listed and stored has been fetched again; its files have no key
    assert {**balance, "without a row": []} == BALANCED
    query = "SELECT title FROM alert WHERE kind = 'upgrade_failed' AND ended_at IS NULL"
    until(lambda: guest.sql(query) == [f"The upgrade to version {BAD} failed."], 60)


def test_a_way_back_that_is_killed_at_each_step_arrives_too_and_no_boot_cuts_in(
    guest: Guest,
) -> None:
    before = guest.stored()
    guest.sql("INSERT INTO audit (actor, action) VALUES ('console', 'before')")
    known = guest.sh(f"ls {PLACE}/runs")
    guest.sh("callstash upgrade start")
    kill_in(guest, "install")
    # as after a power cut: all is started, and what is half installed is not
    guest.sh("systemctl restart callstash.target")
    assert guest.property("poller", "ActiveState") != "active"
    until(lambda: guest.holds(f'grep -q \'"step": "start"\' {PLACE}/state.json'), 120)
    until(lambda: guest.holds("psql -XqAt callstash -c 'SELECT FROM later'"), 60)
    guest.sql("INSERT INTO audit (actor, action) VALUES ('console', 'meanwhile')")
    for step in BACK:
        kill_in(guest, step)
    until(lambda: guest.sh(f"ls {PLACE}/runs/*.json").count("json") > known.count("json"), 120)
    assert last(guest)["outcome"] == "failed"
    assert version(guest) == NEWER and guest.well()
    assert guest.stored() == before
    query = "SELECT action FROM audit WHERE actor = 'console' AND action IN ('before', 'meanwhile')"
    assert guest.sql(f"{query} ORDER BY id") == ["before", "meanwhile"]
    nothing_left(guest)
