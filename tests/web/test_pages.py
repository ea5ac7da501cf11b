"""What the pages of administrators say."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def words(page: str) -> str:
    """Return a page as text."""
    body = page[page.index("<main") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_first_page_shows_what_is_stored_what_runs_and_what_needs_a_person(
    sysadmin: Browser, archive: Archive, db: Connection, look: Callable[[], object]
) -> None:
    company = archive.company()
    db.execute("INSERT INTO company_usage VALUES (%(c)s, 1, 900, 1700000000), (%(c)s, 2, 304, 5)",
               {"c": company})  # fmt: skip
    db.execute("INSERT INTO daemon_status VALUES ('poller', '1', now(), now(), 'waiting for work'),"
               " ('archiver@1', '1', now(), now() - interval '5 minutes', 'fetching')")  # fmt: skip
    db.execute("INSERT INTO pbx_contact VALUES (%s, now(), 3, 'The connection was refused.')",
               [archive.pbx])  # fmt: skip
    db.execute("INSERT INTO poll_schedule VALUES (%s, now())", [archive.pbx])
    look()
    text = words(sysadmin.get("/").text)
    assert "10 Head office pbx.example.com Active" in text
    assert "Calls 1,204 Recordings 1.7 GB Companies 1" in text
    assert "poller waiting for work" in text
    assert "archiver@1 does not report any more." in text
    assert "Head office: no recordings can be fetched." in text


def test_a_running_poll_shows_its_progress(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    company = archive.company()
    row = db.execute(
        "INSERT INTO poll (pbx_id, trigger, state, started_at) VALUES (%s, 'request', 'fetching',"
        " now() - interval '50 seconds') RETURNING id",
        [archive.pbx],
    ).fetchone()
    assert row is not None
    db.execute("INSERT INTO poll_company VALUES (%s, %s, 3000, 2000)", [row[0], company])
    db.execute(
        "INSERT INTO poll_tally VALUES (%(p)s, %(c)s, 1, 300, 2, 600000000, now()),"
        " (%(p)s, %(c)s, 2, 200, 0, 400000000, now())",
        {"p": row[0], "c": company},
    )
    for address in ("/", f"/pbxs/{archive.pbx}"):
        text = words(sysadmin.get(address).text)
        assert "Fetching recordings , about 2 minutes left" in text
        assert "Listed 2,000 Stored 500 Failed tries 2 Data 1.0 GB" in text
        assert re.search(r"Rate (10|9) a second, (20\.0|19\.\d) MB/s", text)


def test_the_history_says_per_company_what_a_poll_found(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    one, two = archive.company("Alpha"), archive.company("Beta", uid=archive.pbx_uid)
    db.execute(
        "INSERT INTO poll_company (poll_id, company_id, polled, new, failed, first_seen,"
        " reactivated, error) VALUES (%(p)s, %(a)s, 1164, 1164, 3, true, false, NULL),"
        " (%(p)s, %(b)s, NULL, NULL, NULL, false, true, 'Grant the permission.')",
        {"p": archive.poll, "a": one, "b": two},
    )
    text = words(sysadmin.get(f"/pbxs/{archive.pbx}").text)
    assert "Alpha † 1,164 1,164 3" in text
    assert "Beta * – – – Grant the permission." in text
    assert "* re-activated in this poll, † first seen in this poll" in text


def test_what_waits_is_counted_by_reason_and_listed_with_its_next_try(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    company = archive.company()
    for number in range(120):
        recording = archive.listed(company, caller=f"caller{number:03}", started_at=NOON)
        if number % 4 == 0:
            db.execute(
                "UPDATE recording SET waiting = 'transfer', last_error = 'it broke off',"
                " attempts = 3, next_try_at = '2036-11-24T08:00Z' WHERE id = %s",
                [recording],
            )
    text = words(sysadmin.get(f"/pbxs/{archive.pbx}").text)
    assert "90 in line to be fetched" in text
    assert "30 the download broke off" in text
    address, seen = f"/pbxs/{archive.pbx}/waiting", []
    for pages in (1, 2, 3):
        page = sysadmin.get(address).text
        seen += re.findall(r"caller\d{3}", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        assert (following is None) == (pages == 3)
        address = following[1] if following else ""
    assert len(seen) == len(set(seen)) == 120
    assert "it broke off 3 24 Nov, 08:00:00" in words(page)


def test_a_company_lists_all_its_recordings_newest_first_in_pages(
    sysadmin: Browser, archive: Archive
) -> None:
    company, other = archive.company(), archive.company("Other", uid=archive.pbx_uid)
    archive.listed(other, caller="foreign")
    for number in range(120):  # several start in the same second
        start = NOON + timedelta(seconds=number // 7)
        archive.listed(company, caller=f"caller{number // 7:03}", started_at=start)
    address, seen, rows = f"/companies/{company}", [], set()
    while address:
        page = sysadmin.get(address).text
        assert "foreign" not in page
        seen += re.findall(r"caller\d{3}", page)
        rows |= set(re.findall(r'id="(call-[0-9a-f-]+)"', page))
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = older[1] if older else ""
    assert len(rows) == len(seen) == 120
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "cursor", ["", "x", "2026-11-20", "2026-11-20T12:00:00~x", "2026-11-20T12:00:00~" + "0" * 32,
               "~".join(["2026-11-20T12:00:00+00:00"] * 2), "a~b~c~d"],
)  # fmt: skip
def test_a_place_in_a_list_that_makes_no_sense_is_refused(
    sysadmin: Browser, archive: Archive, cursor: str
) -> None:
    company = archive.company()
    assert sysadmin.get(f"/companies/{company}?before={cursor}").status_code == 400
    assert sysadmin.get(f"/pbxs/{archive.pbx}/waiting?after={cursor}").status_code == 400


def test_poll_now_leaves_a_command_and_an_audit_row(
    sysadmin: Browser, archive: Archive, db: Connection, audit: Any
) -> None:
    page = f"/pbxs/{archive.pbx}"
    answer = sysadmin.post(f"{page}/poll", page=page)
    assert answer.status_code == 303
    assert "A poll was asked for" in sysadmin.get(answer.headers["Location"]).text
    assert db.execute("SELECT topic, body FROM outbox").fetchall() == [
        ("poller.poll_now.v1", {"pbx": archive.pbx, "by": "sysadmin"})
    ]
    assert audit()[-1] == ("sysadmin", "pbx.poll_now", f"pbx:{archive.pbx}")
    db.execute("UPDATE pbx SET state = 'suspended'")
    assert sysadmin.post(f"{page}/poll", page=page).status_code == 409
    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_what_a_pbx_calls_things_is_text_and_never_markup(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>"
    company = archive.company(evil)
    recording, _ = archive.stored(company, caller=evil, callee=evil)
    waiting = archive.listed(company, caller=evil)
    db.execute("UPDATE recording SET last_error = %s WHERE id = %s", [evil, waiting])
    db.execute("UPDATE pbx SET name = %s", [evil])
    for address in ("/", f"/pbxs/{archive.pbx}", f"/pbxs/{archive.pbx}/waiting",
                    f"/companies/{company}", f"/recordings/{recording}",
                    f"/recordings/{waiting}"):  # fmt: skip
        page = sysadmin.get(address).text
        assert "alert(1)" in page
        assert "<script>" not in page
        assert "<img src=x" not in page


def test_a_recording_that_is_not_stored_says_why(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    company = archive.company()
    waiting, gone, empty = (archive.listed(company) for _ in range(3))
    db.execute("UPDATE recording SET last_error = 'the disk is full', waiting = 'disk_full',"
               " attempts = 2, next_try_at = '2036-11-24T08:00Z' WHERE id = %s",
               [waiting])  # fmt: skip
    db.execute("UPDATE recording SET state = 'gone', next_try_at = NULL, last_error = 'it expired'"
               " WHERE id = %s", [gone])  # fmt: skip
    text = words(sysadmin.get(f"/recordings/{waiting}").text)
    assert "not stored yet: the disk is full. 2 tries so far" in text
    assert "24 Nov 2036, 08:00:00" in text
    assert "no longer had this recording" in words(sysadmin.get(f"/recordings/{gone}").text)
    empty, _ = archive.stored(company, b"")
    assert "without any sound" in words(sysadmin.get(f"/recordings/{empty}").text)


def test_while_the_database_is_gone_a_page_says_so_and_afterwards_it_goes_on(
    sysadmin: Browser, app: Flask, db: Connection
) -> None:
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'callstash_web'"
    )
    assert sysadmin.get("/").status_code == 200
    db.execute("ALTER ROLE callstash_web NOLOGIN")
    try:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'callstash_web'"
        )
        answer = sysadmin.get("/")
        assert answer.status_code == 503
        assert "The database does not answer" in answer.text
    finally:
        db.execute("ALTER ROLE callstash_web LOGIN")
    assert sysadmin.get("/").status_code == 200


def test_errors_have_the_look_of_everything_else(anonymous: Browser) -> None:
    for answer, status in (
        (anonymous.get("/nothing"), 404),
        (anonymous.ask("PUT", "/login"), 405),
        (anonymous.ask("POST", "/login", data={"name": "x" * 70_000}), 413),
    ):
        assert answer.status_code == status
        assert "style.css" in answer.text
    assert anonymous.ask("PUT", "/login").headers["Allow"]
