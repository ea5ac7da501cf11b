"""What a legal hold covers: every spelling of a number, names with and without accents."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from common import expiry
from webui.queries import holds
from webui.queries.holds import Terms

Database = psycopg.Connection[Any]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+44 20 7946 0018", "020 7946 0018", True),
        ("+44 20 7946 0018", "0044 (20) 7946-0018", True),
        ("+44 20 7946 0018", "7946 0018", True),
        ("+44 20 7946 0018", "+44 20 7946 0019", False),
        ("+44 20 7946 0018", "018", False),
        ("201", "201", True),
        ("201", "1201", False),
        ("201", "2011", False),
        ("1001 Alice Example 7", "1001", True),
        ("Alice Example <1001>", "1001", True),
        ("Alice", "", True),
        ("anonymous", "1001", False),
    ],
)
def test_numbers_meet_in_any_spelling(db: Database, one: str, other: str, same: bool) -> None:
    query = "SELECT same_number(digits(%s), digits(%s)), same_number(digits(%s), digits(%s))"
    assert db.execute(query, [one, other, other, one]).fetchone() == (same, same)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Zoë KÄFER", "zoe kafer"), ("Ångström", "angstrom"), ("Søren", "søren"), ("ÉÈ", "ee")],
)
def test_names_lose_capitals_and_accents(db: Database, text: str, expected: str) -> None:
    assert db.execute("SELECT plain(%s)", [text]).fetchone() == (expected,)


@pytest.fixture
def calls(db: Database) -> None:
    """Two companies with calls of two years."""
    db.execute("""
        INSERT INTO pbx (name, url, token_sealed, timezone)
        VALUES ('x', 'https://pbx.example.com', 'x', 'Europe/London');
        INSERT INTO poll (pbx_id, trigger, state, finished_at)
        VALUES (10, 'first', 'finished', now());
        INSERT INTO company (pbx_id, name, label) VALUES (10, 'a', 'A'), (10, 'b', 'B');
        INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,
            duration, caller, callee, stored_at)
        SELECT gen_random_uuid(), 10, 201 + n % 2, n::text, 1, 'stored',
            '2024-01-01T00:00:00Z'::timestamptz + n * interval '1 day', 60,
            CASE WHEN n % 5 = 0 THEN '1001 Zoë Käfer' ELSE '1002' END,
            CASE WHEN n % 7 = 0 THEN '+44 20 7946 0018' ELSE '020 7946 0999' END, now()
        FROM generate_series(0, 699) n
        """)


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        (Terms(201, None, None, None, None), 350),
        (Terms(None, "02079460018", None, None, None), 100),
        (Terms(None, "442079460018", None, None, None), 100),
        (Terms(None, "1001", None, None, None), 140),
        (Terms(None, "001", None, None, None), 0),
        (Terms(None, None, "KAFER", None, None), 140),
        (Terms(None, None, "käf", None, None), 140),
        (Terms(None, None, "%", None, None), 0),
        (Terms(202, "02079460018", "zoe", None, None), 10),
        (Terms(None, None, None, datetime(2025, 1, 1, tzinfo=UTC), None), 334),
        (Terms(None, None, None, None, datetime(2025, 1, 1, tzinfo=UTC)), 366),
        (Terms(None, None, None, None, None), 700),
    ],
)
def test_a_hold_covers_what_the_page_counts_and_lists_and_nothing_else(
    db: Database, calls: None, terms: Terms, found: int
) -> None:
    assert holds.covered(db, terms).calls == found
    assert len(holds.calls(db, terms, None, 1000)) == found
    if terms.party == "%":
        return
    holds.add(db, "x", "y", terms, "sysadmin")
    now = datetime(2090, 1, 1, tzinfo=UTC)
    held = sum(row.held_calls for row in expiry.preview(db, now, {201: 3, 202: 3}))
    assert held == found
    due = [expiry.due(db, now, company, 3, None, 1000) for company in (201, 202)]
    assert sum(map(len, due)) == 700 - found


def test_a_company_knows_its_holds_until_they_are_released(db: Database, calls: None) -> None:
    number = holds.add(db, "case", "y", Terms(None, "1001", None, None, None), "sysadmin")
    assert holds.of_company(db, 201) == ["case"]
    assert holds.release(db, number, "sysadmin", "over")
    assert not holds.release(db, number, "sysadmin", "again")
    assert holds.of_company(db, 201) == []


def test_a_hold_can_not_be_changed(db: Database, calls: None, connect_as: Any) -> None:
    holds.add(db, "case", "y", Terms(201, None, None, None, None), "sysadmin")
    for statement in ("UPDATE legal_hold SET company_id = 202", "DELETE FROM legal_hold"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connect_as("web").execute(statement)
