"""The system page and the first page: what runs, what went wrong, and what needs a person."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive
from webui import logbook

PAGE = "/system"


@pytest.fixture
def letter(db: Connection) -> int:
    """A dead letter with a hostile body."""
    row = db.execute(
        "INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at) VALUES ('x',"
        " 'poller.pbx_changed.v1', '{\"pbx\": \"<script>\"}', 'callstash.poller',"
        " 'delivery_limit', now()) RETURNING id"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_dead_letter_is_tried_again_once_however_often_it_is_pressed(
    app: Flask, sysadmin: Browser, letter: int, db: Connection, audit: Callable[[], list[Any]]
) -> None:
    text = sysadmin.get(PAGE).text
    assert "it ended its daemon again and again" in text
    assert "<script>&" not in text
    assert "&lt;script&gt;" in text
    token, answers = sysadmin.csrf(PAGE), []

    def press() -> None:
        browser = Browser(app)
        browser.token = sysadmin.token
        answer = browser.ask("POST", f"{PAGE}/dead-letters/{letter}/retry", data={"csrf": token})
        answers.append(answer.status_code)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [303] * 4
    row = db.execute("SELECT topic, body->>'pbx' FROM outbox").fetchall()
    assert row == [("poller.pbx_changed.v1", "<script>")]
    assert audit().count(("sysadmin", "dead_letter.retry", f"dead_letter:{letter}")) == 1


def test_a_dead_letter_is_dropped_and_what_it_said_is_kept_in_the_audit_log(
    sysadmin: Browser, letter: int, db: Connection
) -> None:
    sysadmin.post(f"{PAGE}/dead-letters/{letter}/drop", PAGE)
    assert "The message is dropped" in sysadmin.get(PAGE).text
    row = db.execute("SELECT detail->>'body' FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert row == ('{"pbx": "<script>"}',)
    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_what_can_not_be_read_at_all_can_only_be_dropped(
    sysadmin: Browser, letter: int, db: Connection
) -> None:
    db.execute("UPDATE dead_letter SET body = 'base64:/w=='")
    assert sysadmin.post(f"{PAGE}/dead-letters/{letter}/retry", PAGE).status_code == 409
    assert db.execute("SELECT settled_at FROM dead_letter").fetchone() == (None,)


def test_parked_messages_are_tried_again(
    sysadmin: Browser, db: Connection, look: Callable[[], object]
) -> None:
    db.execute("INSERT INTO outbox (topic, body, refused_at) VALUES ('x.y.v1', '{}', now())")
    look()
    assert "1 message parked" in sysadmin.get(PAGE).text
    assert "could not be delivered" in sysadmin.get("/").text
    sysadmin.post(f"{PAGE}/outbox/retry", PAGE)
    assert db.execute("SELECT refused_at FROM outbox").fetchone() == (None,)


def test_only_a_daemon_that_was_long_silent_is_forgotten(sysadmin: Browser, db: Connection) -> None:
    db.execute(
        "INSERT INTO daemon_status VALUES ('archiver@3', '1', now(), now() - interval '1 hour',"
        " ''), ('poller', '1', now(), now(), 'resting')"
    )
    text = sysadmin.get(PAGE).text
    assert "not seen for 1 hour" in text
    assert text.count("/forget") == 1
    sysadmin.post(f"{PAGE}/daemons/archiver@3/forget", PAGE)
    sysadmin.post(f"{PAGE}/daemons/poller/forget", PAGE)
    assert db.execute("SELECT name FROM daemon_status").fetchall() == [("poller",)]


def test_without_rabbitmq_it_says_so(sysadmin: Browser) -> None:
    assert "RabbitMQ does not answer" in sysadmin.get(PAGE).text


def test_the_log_file_of_a_daemon_is_read_where_there_is_no_journal(
    app: Flask, sysadmin: Browser, db: Connection, tmp_path: Path
) -> None:
    db.execute("INSERT INTO daemon_status VALUES ('poller', '1', now(), now(), '')")
    shared = app.extensions["callstash"]
    object.__setattr__(shared.settings, "log_directory", tmp_path)
    address = f"{PAGE}/poller/journal"
    assert "can't be read" in sysadmin.get(address).text
    lines = [f"line {n} <b> pbx={n}" for n in range(500)]
    lines += ["error: the disk is full", "warning: it is slow"]
    (tmp_path / "poller.log").write_text("\n".join(lines))
    text = sysadmin.get(address).text
    assert text.count("<li") >= 200
    assert "line 499 &lt;b&gt;" in text
    assert "line 100 " not in text
    errors = sysadmin.get(f"{address}?level=3").text
    assert "the disk is full" in errors
    assert "it is slow" not in errors
    assert "No such lines" in sysadmin.get(f"{address}?text=nothing+like+it").text
    assert sysadmin.get(f"{PAGE}/..%2f..%2fetc%2fpasswd/journal").status_code == 404
    assert sysadmin.get(f"{PAGE}/web/journal").status_code == 200


def test_the_journal_of_systemd_is_read_with_its_fields(tmp_path: Path) -> None:
    entry = (
        "__REALTIME_TIMESTAMP=1795426200000000\nPRIORITY={}\nMESSAGE=poll {}\nPBX=10\n"
        "_BOOT_ID=7d1f2ad9b6f04b0e9a3a8f4f5f0f7c11\n_SYSTEMD_UNIT=callstash-poller.service\n"
        "_MACHINE_ID=1f2ad9b6f04b0e9a3a8f4f5f0f7c117d\n\n"
    )
    file = tmp_path / "test.journal"
    subprocess.run(
        ["/lib/systemd/systemd-journal-remote", f"--output={file}", "-"],
        input="".join(entry.format(6 if n else 3, n) for n in range(3)).encode(),
        check=True,
        capture_output=True,
    )
    lines = logbook.of_unit("poller", 6, file)
    assert [line.text for line in lines] == ["poll 0", "poll 1", "poll 2"]
    assert lines[0].fields == {"PBX": "10"}
    assert lines[0].at is not None
    assert lines[0].at.isoformat() == "2026-11-23T09:30:00+00:00"
    assert [line.text for line in logbook.of_unit("poller", 3, file)] == ["poll 0"]
    assert logbook.of_unit("archiver", 6, file) == []
    with pytest.raises(logbook.Unreadable):
        logbook.of_unit("poller", 6, tmp_path / "nothing.journal")


def test_the_first_page_warns_of_what_needs_a_person_and_links_to_it(
    sysadmin: Browser, archive: Archive, db: Connection, look: Callable[[], object]
) -> None:
    db.execute("INSERT INTO disk VALUES ('audio', '/x', 1000, 99, now(), true, '2036-01-01')")
    db.execute("INSERT INTO poll_schedule VALUES (%s, now(), NULL, 1)", [archive.pbx])
    db.execute(
        "INSERT INTO daemon_status VALUES ('poller', '1', now(), now() - interval '5 minutes', '')"
    )
    db.execute("UPDATE account SET factory = true WHERE name = 'admin'")
    db.execute("UPDATE licence SET support_until = current_date - 1")
    db.execute(
        "INSERT INTO poll (pbx_id, trigger, state, finished_at, error)"
        " VALUES (%s, 'schedule', 'failed', now(), 'Its name is not known.')",
        [archive.pbx],
    )
    company = archive.company()
    gone = archive.listed(company)
    db.execute("UPDATE recording SET state = 'gone', next_try_at = NULL WHERE id = %s", [gone])
    look()
    text = sysadmin.get("/").text
    for words in (
        "disk is nearly full: 99 bytes are left",
        "1 recording was gone from the PBX",
        "Head office: the last poll failed.",
        "poller does not report any more.",
        "The notifier does not run",
        "No e-mail server is set up",
        "admin still has the factory password",
        "The support contract ended on",
    ):
        assert words in text, words
    assert 'href="/settings/mail">Set it up' in text
    assert 'class="number bad" data-label="Available"' in text
    assert "not in sight" not in text
    assert "12100006" in text
    assert "Add PBX" in text


def test_admin_sees_the_first_page_without_what_admin_may_not_do(
    log_in: Callable[[str], Browser], archive: Archive
) -> None:
    text = log_in("admin").get("/").text
    assert "No e-mail server is set up" in text
    for absent in ("Add PBX", "/settings/mail", "/audit", ">manage<"):
        assert absent not in text, absent
