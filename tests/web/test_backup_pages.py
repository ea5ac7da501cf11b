"""The backup page: a target is tried before it is saved, its host key is shown and pinned, and what
backups did is told.
"""

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from common import backup as rules
from common import commands, seal
from common.db import Connection
from tests.web.browser import Browser

PAGE = "/settings/backup"
KEY = "ssh-ed25519 " + base64.b64encode(b"k" * 51).decode()
TARGET = UUID(int=77)
REMOTE = {
    "kind": "remote", "host": "backup.example.com", "port": "22", "username": "callstash",
    "path": "/backups/callstash", "login": "key",
}  # fmt: skip


@pytest.fixture
def backupd(db: Connection, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A backupd that answers at once; what it was asked, and the key that opens passwords."""
    private, public = seal.generate()
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('backup', %s)", [public])
    db.execute("INSERT INTO ssh_key (public_key) VALUES ('ssh-ed25519 AAAABOX callstash@box')")
    asked: dict[str, Any] = {"private": private, "refuse": ""}

    def ask(_daemon: str, kind: str, arguments: dict[str, Any]) -> commands.Answer:
        asked[kind] = arguments
        if asked["refuse"]:
            return commands.Answer(False, asked["refuse"])
        return commands.Answer(True, KEY if kind == rules.SHOW_KEY else str(TARGET))

    monkeypatch.setattr("webui.commands.ask", ask)
    return asked


def saved(db: Connection) -> Any:
    return db.execute(
        "SELECT kind::text, host, path, username, host_key, target, password_sealed"
        " FROM backup_target"
    ).fetchone()


def test_without_a_backup_the_first_page_says_so(
    sysadmin: Browser, backupd: dict[str, Any]
) -> None:
    assert "No backup is set up" in sysadmin.get("/").text
    page = sysadmin.get(PAGE).text
    assert "ssh-ed25519 AAAABOX callstash@box" in page
    assert "None yet." in page


def test_the_host_key_is_shown_before_anything_is_saved(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection
) -> None:
    answer = sysadmin.post(PAGE, PAGE, **REMOTE)
    assert answer.status_code == 200
    assert "SHA256:" in answer.text
    assert saved(db) is None
    assert rules.TRY not in backupd
    answer = sysadmin.post(PAGE, PAGE, **REMOTE, host_key=KEY)
    assert answer.status_code == 303
    assert saved(db)[:6] == (
        "remote", "backup.example.com", "/backups/callstash", "callstash", KEY, TARGET,
    )  # fmt: skip
    assert "No backup is set up" not in sysadmin.get("/").text
    answer = sysadmin.post(PAGE, PAGE, **{**REMOTE, "path": "/other"})
    assert answer.status_code == 303  # the key of this server is known


def test_a_key_that_changed_between_the_two_steps_is_shown_again(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection
) -> None:
    other = KEY.replace("ssh-ed25519 a", "ssh-ed25519 b")
    answer = sysadmin.post(PAGE, PAGE, **REMOTE, host_key=other)
    assert answer.status_code == 200
    assert saved(db) is None


def test_a_password_is_sealed_to_that_server_and_never_shown(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection
) -> None:
    fields = {**REMOTE, "login": "password"}
    shown = sysadmin.post(PAGE, PAGE, **fields, password="Secret-77").text
    assert "Secret-77" not in shown
    sealed = shown.partition('name="password_sealed" value="')[2].partition('"')[0]
    answer = sysadmin.post(PAGE, PAGE, **fields, password_sealed=sealed, host_key=KEY)
    assert answer.status_code == 303
    bound = rules.context("backup.example.com", 22, "callstash", KEY)
    assert seal.unseal(backupd["private"], bytes(saved(db)[6]), bound) == b"Secret-77"
    assert sysadmin.post(PAGE, PAGE, **fields).status_code == 303  # it stays
    assert saved(db)[6] is not None
    answer = sysadmin.post(PAGE, PAGE, **{**fields, "username": "another"})
    assert answer.status_code == 422
    assert "Enter the password" in answer.text
    sysadmin.post(PAGE, PAGE, **REMOTE)
    assert saved(db)[6] is None


def test_what_backupd_says_against_it_is_shown_and_nothing_saved(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection
) -> None:
    backupd["refuse"] = "There is no directory /backups/callstash at backup.example.com."
    answer = sysadmin.post(PAGE, PAGE, **REMOTE, host_key=KEY)
    assert answer.status_code == 422
    assert "There is no directory" in answer.text
    assert saved(db) is None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("host", "", "Enter the name of the server"),
        ("path", "backups", "begin with a slash"),
        ("username", "", "Enter the user name"),
        ("port", "0", "from 1 to 65535"),
        ("kind", "tape", "Choose one of these"),
        ("login", "", "Choose one of these"),
    ],
)
def test_what_is_missing_is_said_beside_its_field(
    sysadmin: Browser, backupd: dict[str, Any], field: str, value: str, words: str
) -> None:
    answer = sysadmin.post(PAGE, PAGE, **{**REMOTE, field: value})
    assert answer.status_code == 422
    assert words in answer.text


def test_backups_are_switched_off(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection, audit: Callable[[], list[Any]]
) -> None:
    sysadmin.post(PAGE, PAGE, **REMOTE, host_key=KEY)
    sysadmin.post(PAGE, PAGE, kind="disabled")
    assert saved(db) is None
    assert [row[1] for row in audit()][-2:] == ["backup.changed", "backup.removed"]


def test_how_backups_went_is_shown_and_one_can_be_cancelled(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection, log_in: Callable[[str], Browser]
) -> None:
    for state, error, figures in (
        ("finished", None, '{"transferred": 1204, "files": 9000, "transferred_size": 1700000000}'),
        ("failed", "There is no room left at backup.example.com.", "{}"),
    ):
        db.execute(
            "INSERT INTO backup_run (asked_by, target, state, started_at, finished_at, error,"
            " statistics) VALUES ('backupd', %s, %s, now() - interval '3 minutes', now(), %s, %s)",
            [TARGET, state, error, figures],
        )
    page = sysadmin.get(PAGE).text
    assert "1,204" in page
    assert "1.7 GB" in page
    assert "There is no room left at backup.example.com." in sysadmin.get("/").text
    db.execute(
        "INSERT INTO backup_run (asked_by, target, started_at, phase, files_done, files_total)"
        " VALUES ('sysadmin', %s, now(), 'copying recordings', 30, 120)",
        [TARGET],
    )
    assert "copying recordings, 30 of 120 files" in sysadmin.get("/").text
    assert "Cancel" not in log_in("admin").get("/").text
    sysadmin.post(f"{PAGE}/cancel", PAGE)
    assert db.execute("SELECT cancel_by FROM backup_run WHERE state = 'running'").fetchone() == (
        "sysadmin",
    )


def test_the_pace_of_a_target_is_saved_and_bad_times_are_refused(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection, audit: Callable[[], list[Any]]
) -> None:
    sysadmin.post(PAGE, PAGE, **REMOTE, host_key=KEY)
    fields = {"rate": "5000", "quiet_from": "08:00", "quiet_until": "18:30"}
    for field, value, words in (
        ("rate", "fast", "from 10 to 10000000"),
        ("quiet_from", "25:00", "such as 08:00"),
        ("quiet_until", "", "both times, or neither"),
        ("quiet_until", "08:00", "another time"),
    ):
        answer = sysadmin.post(f"{PAGE}/pace", PAGE, **{**fields, field: value})
        assert answer.status_code == 422
        assert words in answer.text
    query = "SELECT rate_kb, quiet_from::text, quiet_until::text FROM backup_target"
    assert db.execute(query).fetchone() == (None, None, None)
    assert sysadmin.post(f"{PAGE}/pace", PAGE, **fields).status_code == 303
    assert db.execute(query).fetchone() == (5000, "08:00:00", "18:30:00")
    assert 'value="18:30"' in sysadmin.get(PAGE).text
    sysadmin.post(PAGE, PAGE, **{**REMOTE, "path": "/other"})
    assert db.execute(query).fetchone() == (5000, "08:00:00", "18:30:00")
    empty = dict.fromkeys(fields, "")
    assert sysadmin.post(f"{PAGE}/pace", PAGE, **empty).status_code == 303
    assert db.execute(query).fetchone() == (None, None, None)
    assert audit()[-1][1] == "backup.paced"


def test_what_stopped_backups_is_shown_and_confirmed(
    sysadmin: Browser, backupd: dict[str, Any], db: Connection, audit: Callable[[], list[Any]]
) -> None:
    assert sysadmin.post(f"{PAGE}/confirm", PAGE, lost="35").status_code == 404
    db.execute(
        "INSERT INTO backup_brake (found_at, recordings, lost_rows, lost_files)"
        " VALUES (now(), 1000, 30, 5)"
    )
    assert "Backups stopped: recordings vanished" in sysadmin.get(PAGE).text
    answer = sysadmin.post(f"{PAGE}/confirm", PAGE, lost="34")
    assert answer.status_code == 422
    assert "Enter 35 to confirm it." in answer.text
    assert rules.RUN not in backupd
    assert sysadmin.post(f"{PAGE}/confirm", PAGE, lost="35").status_code == 303
    assert rules.RUN in backupd
    row = db.execute("SELECT confirmed_by FROM backup_brake").fetchone()
    assert row == ("sysadmin",)
    assert "Backups stopped" not in sysadmin.get(PAGE).text
    assert audit()[-1][1] == "backup.confirmed"
