"""Retention and legal holds in the browser: nothing shorter without having seen what it deletes."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive

Audit = Callable[[], list[Any]]


@pytest.fixture
def company(archive: Archive) -> int:
    """A company with 12 recordings, one a month old, the next two, and so on."""
    company = archive.company()
    for months in range(12):
        started = datetime.now(UTC) - timedelta(days=31 * months + 1)
        archive.stored(company, bytes(80), started_at=started)
    return company


def keep(db: Connection, company: int) -> Any:
    row = db.execute("SELECT keep_months FROM company WHERE id = %s", [company]).fetchone()
    return row and row[0]


def test_a_shorter_time_is_saved_only_after_its_effect_was_confirmed(
    sysadmin: Browser, company: int, db: Connection, audit: Audit
) -> None:
    page = f"/companies/{company}/retention"
    assert "Use PBX default (never delete recordings)" in sysadmin.get(page).text
    answer = sysadmin.post(page, page, keep="6", before="default")
    assert answer.status_code == 422
    assert "<strong>6 recordings</strong>" in answer.text
    assert keep(db, company) is None
    for wrong in ("", "5", "yes"):
        answer = sysadmin.post(page, page, keep="6", before="default", seen="6", confirm=wrong)
        assert (answer.status_code, "Enter 6 to confirm" in answer.text) == (422, True)
    assert keep(db, company) is None
    answer = sysadmin.post(page, page, keep="6", before="default", seen="6", confirm="6")
    assert answer.status_code == 303
    assert keep(db, company) == 6
    assert "housekeeping deletes 6 recordings" in sysadmin.get(f"/companies/{company}").text
    assert audit()[-1] == ("sysadmin", "company.retention", f"company:{company}")
    row = db.execute("SELECT detail FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert row is not None
    assert row[0]["calls"] == 6
    assert db.execute("SELECT count(*) FROM recording").fetchone() == (12,)


def test_a_longer_time_or_one_that_deletes_nothing_is_saved_at_once(
    sysadmin: Browser, company: int, db: Connection
) -> None:
    page = f"/companies/{company}/retention"
    for chosen, before in (("60", "default"), ("24", "60"), ("0", "24"), ("default", "0")):
        assert sysadmin.post(page, page, keep=chosen, before=before).status_code == 303
    assert "Nothing is deleted by this" in sysadmin.get("/").text
    assert keep(db, company) is None


def test_what_changed_meanwhile_is_shown_again(
    sysadmin: Browser, company: int, db: Connection
) -> None:
    page = f"/companies/{company}/retention"
    answer = sysadmin.post(page, page, keep="6", before="default", seen="60", confirm="60")
    assert "has changed meanwhile" in answer.text
    db.execute("UPDATE company SET keep_months = 12")
    answer = sysadmin.post(page, page, keep="6", before="default", seen="6", confirm="6")
    assert answer.status_code == 409
    assert keep(db, company) == 12


def test_the_default_of_a_pbx_reaches_only_companies_without_their_own(
    sysadmin: Browser, company: int, archive: Archive, db: Connection
) -> None:
    page = f"/pbxs/{archive.pbx}/retention"
    db.execute("UPDATE company SET keep_months = 60")
    assert sysadmin.post(page, page, keep="3", before="0").status_code == 303
    db.execute("UPDATE company SET keep_months = NULL")
    db.execute("UPDATE pbx SET keep_months = 12")
    answer = sysadmin.post(page, page, keep="3", before="12")
    assert answer.status_code == 422
    assert "<strong>9 recordings</strong>" in answer.text
    answer = sysadmin.post(page, page, keep="3", before="12", seen="9", confirm="9")
    assert answer.status_code == 303
    assert db.execute("SELECT keep_months FROM pbx").fetchone() == (3,)


@pytest.mark.parametrize("chosen", ["", "7", "never", "-3"])
def test_what_is_no_choice_is_refused(sysadmin: Browser, company: int, chosen: str) -> None:
    page = f"/companies/{company}/retention"
    assert "Choose one of these" in sysadmin.post(page, page, keep=chosen).text


def test_a_hold_is_shown_before_it_is_in_force_and_takes_its_calls_from_the_preview(
    sysadmin: Browser, company: int, db: Connection, audit: Audit
) -> None:
    fields = {"name": "Smith v. Jones", "reason": "court order", "number": "+44 (20) 7946-0018"}
    answer = sysadmin.post("/holds/add", "/holds/add", **fields)
    assert answer.status_code == 200
    assert "12 recordings of 1 company" in answer.text
    assert db.execute("SELECT count(*) FROM legal_hold").fetchone() == (0,)
    answer = sysadmin.post("/holds/add", "/holds/add", **fields, confirm="yes")
    page = answer.headers["Location"]
    text = sysadmin.get(page).text
    assert "442079460018" in text
    assert text.count('href="/recordings/') == 12
    found = re.search(r'href="(/recordings/[0-9a-f-]+)"', text)
    assert found is not None
    assert "On legal hold" in sysadmin.get(found[1]).text
    retention = f"/companies/{company}/retention"
    assert sysadmin.post(retention, retention, keep="3", before="default").status_code == 303
    answer = sysadmin.post(f"{page}/release", page, reason="")
    assert (answer.status_code, "Say why" in answer.text) == (422, True)
    assert sysadmin.post(f"{page}/release", page, reason="settled").status_code == 303
    text = sysadmin.get("/holds").text
    assert "settled" in text
    assert [deed[1] for deed in audit()[-3:]] == [
        "hold.add", "company.retention", "hold.release",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "Give it a name"),
        ({"reason": " "}, "Say why"),
        ({}, "tick that everything is"),
        ({"company": "999"}, "Choose one of these"),
        ({"company": "x"}, "Choose one of these"),
        ({"number": "none"}, "at least two digits"),
        ({"party": "x"}, "at least two letters"),
        ({"since": "tomorrow"}, "Enter a day"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "before the first"),
    ],
)
def test_a_bad_hold_is_refused_beside_its_field(
    sysadmin: Browser, fields: dict[str, str], words: str
) -> None:
    good = {"name": "case", "reason": "<b>why</b>"}
    answer = sysadmin.post("/holds/add", "/holds/add", **{**good, **fields}, confirm="yes")
    assert answer.status_code == 422
    assert words in answer.text
    assert "<b>" not in answer.text


def test_admin_reads_holds_and_limits_and_changes_none(
    log_in: Callable[[str], Browser], company: int, archive: Archive
) -> None:
    admin = log_in("admin")
    assert "New hold" not in admin.get("/holds").text
    text = admin.get(f"/companies/{company}/retention").text
    assert "Never delete recordings, as set for the PBX" in text
    assert "<form" not in text.split("<main")[1]
