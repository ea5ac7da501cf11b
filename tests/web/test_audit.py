"""The audit log: found again by everything, taken along as a table, altered by nobody."""

import csv
import io
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive


@pytest.fixture
def deeds(db: Connection) -> None:
    """Rows of three days, one of them hostile."""
    db.execute("""
        INSERT INTO audit (at, actor, action, subject, detail, address) VALUES
        ('2026-03-01 23:30+00', 'admin', 'login', '', '{}', '192.0.2.1'),
        ('2026-03-02 10:00+00', 'sysadmin', 'pbx.change', 'pbx:10', '{"name": "50%_off"}', NULL),
        ('2026-03-03 10:00+00', 'console:root', 'new.thing', 'x',
         '{"note": "<script>alert(1)</script>"}', '2001:db8::1'),
        ('2026-07-01 23:30+00', '=cmd()', 'pbx.add', 'pbx:11', '{"name": "+x"}', NULL)
        """)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=admin", 1),
        ("who=nobody", 0),
        ("what=pbx.change", 1),
        ("about=pbx:10", 1),
        ("address=192.0.2.1", 1),
        ("address=2001:DB8:0::1", 1),
        ("since=2026-03-02&until=2026-03-02", 1),
        ("since=2026-03-01&until=2026-03-01", 1),
        ("since=2026-07-02&until=2026-07-02", 1),
        ("text=50%25_", 1),
        ("text=50__off", 0),
        ("text=alert", 1),
        ("who=admin&what=pbx.change", 0),
    ],
)
def test_each_filter_finds_just_its_rows(
    sysadmin: Browser, deeds: None, query: str, found: int
) -> None:
    text = sysadmin.get(f"/audit?{query}").text
    assert text.count('id="deed-') == found
    assert ("Nothing was found" in text) == (found == 0)


def test_rows_are_in_words_linked_and_harmless(
    sysadmin: Browser, deeds: None, archive: Archive
) -> None:
    text = sysadmin.get("/audit").text
    assert "changed the settings of a PBX" in text
    assert 'href="/pbxs/10"' in text
    assert "new.thing" in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    "query", ["address=x", "since=yesterday", "until=9999-12-31", "since=2026-02-30"]
)
def test_what_can_not_be_searched_for_is_said_beside_the_field(
    sysadmin: Browser, query: str
) -> None:
    answer = sysadmin.get(f"/audit?{query}")
    assert answer.status_code == 422
    assert 'class="wrong"' in answer.text
    assert sysadmin.get(f"/audit.csv?{query}").status_code == 422


def test_a_long_log_is_read_page_by_page(sysadmin: Browser, db: Connection) -> None:
    db.execute(
        "INSERT INTO audit (at, actor, action, subject) SELECT '2026-01-01', 'x', 'login', n::text"
        " FROM generate_series(1, 250) n"
    )
    seen: list[str] = []
    address: str | None = "/audit?who=x"
    while address:
        text = sysadmin.get(address).text
        rows = text.split('id="deed-')[1:]
        seen += [row.split('"')[0] for row in rows]
        links = [part.split('"')[0] for part in text.split('rel="next" href="')[1:]]
        address = links[0].replace("&amp;", "&") if links else None
    assert len(seen) == len(set(seen)) == 250
    assert seen == sorted(seen, key=int, reverse=True)
    for key in ("x", "1~2", "2026-01-01~5", "2026-01-01T00:00:00+00:00~" + "9" * 30):
        assert sysadmin.get(f"/audit?before={key}").status_code == 400


def test_all_that_was_found_is_saved_as_a_table_that_no_spreadsheet_runs(
    sysadmin: Browser, deeds: None, db: Connection
) -> None:
    db.execute(
        "INSERT INTO audit (actor, action) SELECT 'x', 'login' FROM generate_series(1, 4500)"
    )
    answer = sysadmin.get("/audit.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert rows[0] == ["at", "actor", "action", "subject", "address", "detail"]
    count = db.execute("SELECT count(*) FROM audit").fetchone()
    assert count == (len(rows) - 1,)
    (hostile,) = [row for row in rows if "cmd" in row[1]]
    assert hostile[0] == "2026-07-01T23:30:00+00:00"
    assert hostile[1] == "'=cmd()"
    assert len(list(csv.reader(io.StringIO(sysadmin.get("/audit.csv?who=admin").text)))) == 2


@pytest.mark.parametrize("process", ["poller", "archiver", "housekeeper", "notifier", "web"])
def test_nobody_alters_the_audit_log_or_forges_its_time(
    connect_as: Callable[[str], psycopg.Connection[Any]], deeds: None, process: str
) -> None:
    connection = connect_as(process)
    connection.execute("INSERT INTO audit (actor, action) VALUES ('x', 'y')")
    for statement in (
        "UPDATE audit SET actor = 'z'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit (actor, action, at) VALUES ('x', 'y', '2020-01-01')",
        "INSERT INTO audit (id, actor, action) OVERRIDING SYSTEM VALUE VALUES (1, 'x', 'y')",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP TABLE audit",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'z'", "DELETE FROM audit"])
def test_not_even_the_owner_of_the_database_alters_it_by_mistake(
    db: Connection, deeds: None, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        db.execute(statement)
