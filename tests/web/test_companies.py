"""The list of companies, their settings, and marking one to be deleted."""

import html
import re
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from common import commands
from common.db import Connection
from tests.waiting import until
from tests.web.browser import Browser
from tests.web.building import Archive
from tests.web.test_add_pbx import wrong
from tests.web.test_pages import words
from tests.web.test_pbx_settings import seen


def state(db: Connection, company: int) -> str:
    row = db.execute("SELECT state::text FROM company WHERE id = %s", [company]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def suspended(archive: Archive, db: Connection) -> int:
    """A company that the PBX no longer lists."""
    company = archive.company()
    archive.listed(company)
    db.execute("UPDATE company SET state = 'suspended' WHERE id = %s", [company])
    db.execute(
        "INSERT INTO company_usage VALUES (%(c)s, 1, 1000, 2000), (%(c)s, 2, 271, 947000)",
        {"c": company},
    )
    return company


def test_the_list_shows_each_company_with_what_is_stored_of_it(
    sysadmin: Browser, suspended: int, db: Connection, archive: Archive
) -> None:
    archive.company("Quiet & Co", uid=archive.pbx_uid)
    db.execute("UPDATE company SET listed_until = '2026-11-22T16:41:28Z' WHERE id = %s",
               [suspended])  # fmt: skip
    for address in ("/companies", f"/pbxs/{archive.pbx}/companies"):
        text = html.unescape(words(sysadmin.get(address).text))
        assert "2 companies, 1 not active. 1,271 calls, 949 kB." in text
        assert re.search(
            r"Harbour Legal harbour_legal (Head office )?Suspended 22 Nov 2026, 16:41 1,271 949 kB",
            text,
        )
        assert re.search(r"Quiet & Co quiet_&_co (Head office )?Active never – –", text)


def test_500_companies_come_in_pages_with_the_sums_of_all(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    db.execute(
        "INSERT INTO company (pbx_id, name, label)"
        " SELECT 10, 'c' || g, 'Twin ' || g / 2 FROM generate_series(1, 500) g"
    )
    db.execute("INSERT INTO company_usage SELECT id, 1, 2, 1000 FROM company")
    ids = seen(sysadmin, "/companies", r'id="company-(\d+)"')
    assert len(ids) == len(set(ids)) == 500
    assert "500 companies. 1,000 calls, 500 kB." in words(sysadmin.get("/companies").text)


@pytest.mark.parametrize(
    ("part", "found"),
    [("LEGAL", 1), ("100%", 1), ("%", 1), ("_", 2), ("&", 1), ("'; --", 0), ("\0", 3), ("é", 0)],
)
def test_a_part_of_the_name_finds_companies_literally(
    sysadmin: Browser, archive: Archive, db: Connection, part: str, found: int
) -> None:
    archive.company("Harbour Legal")
    archive.company("100% Beef & Sons", uid=archive.pbx_uid)
    db.execute("INSERT INTO company (pbx_id, name, label) VALUES (10, 'plain', 'Plain')")
    answer = sysadmin.ask("GET", "/companies", query_string={"q": part})
    assert len(re.findall(r'id="company-\d+"', answer.text)) == found


def test_the_settings_say_where_the_recordings_lie(
    sysadmin: Browser, suspended: int, archive: Archive
) -> None:
    assert suspended == 201
    text = words(sysadmin.get(f"/companies/{suspended}/settings").text)
    assert f"{archive.store.root}/201" in text
    assert "Name harbour_legal Label Harbour Legal PBX Head office" in text
    assert "First call 20 Nov 2026, 09:30 Last call 20 Nov 2026, 09:30" in text
    assert f"/companies/{suspended}/settings" in sysadmin.get(f"/companies/{suspended}").text


def test_a_company_is_deleted_only_by_its_exact_name_and_that_can_be_cancelled(
    sysadmin: Browser, suspended: int, db: Connection, audit: Callable[[], list[Any]]
) -> None:
    page = f"/companies/{suspended}/delete"
    text = words(sysadmin.get(page).text)
    assert "Calls 1,271 Storage 949 kB Oldest call 20 Nov 2026, 09:30" in text
    for name in ("", "Harbour Legal", "harbour_lega", "HARBOUR_LEGAL", "harbour_legal "):
        answer = sysadmin.post(page, page=page, name=name)
        assert "not its name" in wrong(answer.text)["name"]
    assert state(db, suspended) == "suspended"
    assert sysadmin.post(page, page=page, name="harbour_legal").status_code == 303
    assert state(db, suspended) == "delete_pending"
    assert "sysadmin asked on" in sysadmin.get(f"/companies/{suspended}/settings").text
    assert "Cancel delete" in sysadmin.get("/companies").text
    assert sysadmin.post(f"{page}/cancel", page="/companies").status_code == 303
    assert state(db, suspended) == "suspended"
    assert [row[1:] for row in audit()[-2:]] == [
        ("company.delete", f"company:{suspended}"),
        ("company.cancel_delete", f"company:{suspended}"),
    ]


def test_an_active_company_can_not_be_deleted(
    sysadmin: Browser, suspended: int, db: Connection, audit: Callable[[], list[Any]]
) -> None:
    page = f"/companies/{suspended}/delete"
    db.execute("UPDATE company SET state = 'active'")  # the PBX lists it again
    assert "Only a suspended company" in sysadmin.get(page).text
    answer = sysadmin.post(page, page="/companies/201/settings", name="harbour_legal")
    assert answer.status_code == 422
    assert "no longer suspended" in answer.text
    assert state(db, suspended) == "active"
    sysadmin.post(f"{page}/cancel", page="/companies/201/settings")
    assert state(db, suspended) == "active"
    assert "company." not in str(audit())


def test_admin_sees_companies_without_forms_or_buttons(
    log_in: Callable[[str], Browser], suspended: int
) -> None:
    admin = log_in("admin")
    for address in ("/companies", "/pbxs/10/companies", f"/companies/{suspended}/settings"):
        text = admin.get(address).text
        assert "Harbour Legal" in text
        assert len(re.findall('<form[^>]*method="post"', text)) == 1  # to log out
        assert "/delete" not in text


def test_refreshing_asks_the_poller_and_says_its_answer(
    sysadmin: Browser, archive: Archive, db: Connection,
    connect_as: Callable[[str], psycopg.Connection[Any]],
) -> None:  # fmt: skip
    poller = connect_as("poller")

    def answer_one() -> None:
        until(lambda: commands.waiting(poller, "poller"))
        (asked,) = commands.waiting(poller, "poller")
        assert (asked.kind, asked.arguments) == ("companies.refresh", {"pbx": 10})
        commands.answer(poller, asked.id, True, "The list was read: 2 new.")

    page = "/pbxs/10/companies"
    csrf = sysadmin.csrf(page)
    thread = threading.Thread(target=answer_one)
    thread.start()
    answer = sysadmin.ask("POST", f"{page}/refresh", data={"csrf": csrf})
    thread.join(10)
    assert answer.headers["Location"] == page
    assert "The list was read: 2 new." in sysadmin.get(page).text
    db.execute("UPDATE pbx SET state = 'suspended'")
    sysadmin.post(f"{page}/refresh", page=page)
    assert "its list of companies is not read" in sysadmin.get(page).text


def test_what_waits_is_counted_only_so_far(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at, duration,"
        " caller, callee, next_try_at) SELECT gen_random_uuid(), 10, %s, 'r' || g, %s, now(), 1,"
        " '', '', now() FROM generate_series(1, 2100) g",
        [archive.company(), archive.poll],
    )
    text = words(sysadmin.get("/pbxs/10").text)
    assert "2,000 in line to be fetched There are more; the 2,000 that are tried next" in text
