"""What expires, at every edge; the preview and the work of the housekeeper are the same set."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import expiry
from common.db import Connection

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "months", "expected"),
    [
        ("2026-11-23", 3, "2026-08-23"),
        ("2026-05-31", 3, "2026-02-28"),
        ("2028-05-31", 3, "2028-02-29"),
        ("2028-02-29", 12, "2027-02-28"),
        ("2028-02-29", 24, "2026-02-28"),
        ("2026-01-31", 6, "2025-07-31"),
        ("2026-03-01", 60, "2021-03-01"),
        ("2026-12-31", 6, "2026-06-30"),
    ],
)
def test_a_limit_is_counted_in_calendar_months(now: str, months: int, expected: str) -> None:
    begun = datetime.fromisoformat(f"{now}T23:59:59.999999+00:00")
    ended = datetime.fromisoformat(f"{expected}T23:59:59.999999+00:00")
    assert expiry.cutoff(begun, months) == ended


@settings(max_examples=500)
@given(
    st.datetimes(datetime(2010, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([3, 6, 12, 24, 60]),
)
def test_a_cutoff_never_comes_early_and_never_runs_back(now: datetime, months: int) -> None:
    cutoff = expiry.cutoff(now, months)
    assert timedelta(days=months * 30 - 2) < now - cutoff < timedelta(days=months * 31)
    assert expiry.cutoff(now + timedelta(days=1), months) >= cutoff


def company(db: Connection, keep: int | None = None) -> int:
    """Add a company."""
    row = db.execute(
        "INSERT INTO company (pbx_id, name, label, keep_months)"
        " VALUES (10, gen_random_uuid()::text, 'x', %s) RETURNING id",
        [keep],
    ).fetchone()
    assert row is not None
    return int(row[0])


def recording(
    db: Connection, owner: int, started: datetime, state: str = "stored", caller: str = "201"
) -> UUID:
    """Add a recording."""
    number = uuid4()
    db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
        " duration, caller, callee, next_try_at, stored_at) VALUES (%s, 10, %s, %s, 1, %s, %s, 5,"
        " %s, '+44 20 7946 0018', %s, %s)",
        [
            number, owner, str(number), state, started, caller,
            started if state == "listed" else None, started if state == "stored" else None,
        ],
    )  # fmt: skip
    return number


@pytest.fixture
def pbx(db: Connection) -> None:
    """A PBX with a poll."""
    db.execute(
        "INSERT INTO pbx (name, url, token_sealed, timezone)"
        " VALUES ('x', 'https://pbx.example.com', 'x', 'Europe/London')"
    )
    db.execute(
        "INSERT INTO poll (pbx_id, trigger, state, finished_at)"
        " VALUES (10, 'first', 'finished', now())"
    )


@settings(max_examples=10_000)
@given(
    st.datetimes(datetime(2010, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([3, 6, 12, 24, 60]),
    st.timedeltas(timedelta(days=-1), timedelta(days=1)),
)
def test_a_clock_that_is_a_day_off_deletes_nothing_early(
    true: datetime, months: int, error: timedelta
) -> None:
    assert expiry.cutoff(true + error - expiry.MARGIN, months) <= expiry.cutoff(true, months)


@pytest.mark.parametrize("months", [3, 6, 12, 24, 60])
def test_a_second_decides(db: Connection, pbx: None, months: int) -> None:
    owner, edge = company(db), expiry.cutoff(NOW - expiry.MARGIN, months)
    early = recording(db, owner, edge - SECOND)
    recording(db, owner, edge)
    recording(db, owner, edge + SECOND)
    found = expiry.due(db, NOW, owner, months, None, 10)
    assert [row.id for row in found] == [early]
    assert expiry.due(db, NOW, owner, 0, None, 10) == []
    assert expiry.preview(db, NOW, {owner: 0}) == []


def test_what_is_still_to_be_fetched_never_expires(db: Connection, pbx: None) -> None:
    owner, old = company(db), NOW - timedelta(days=4000)
    recording(db, owner, old, "listed")
    gone = recording(db, owner, old, "gone")
    assert [row.id for row in expiry.due(db, NOW, owner, 3, None, 10)] == [gone]


def test_the_preview_is_the_sum_of_what_is_deleted_and_what_is_held(
    db: Connection, pbx: None
) -> None:
    random.seed(7)
    companies = [company(db) for _ in range(4)]
    for owner in companies:
        for _ in range(60):
            age = timedelta(days=random.randrange(0, 2500), seconds=random.randrange(86400))
            state = random.choice(("stored", "stored", "gone", "listed"))
            recording(db, owner, NOW - age, state, random.choice(("201", "202 Zoë Käfer")))
    for hold in (
        {"company_id": companies[0], "since": NOW - timedelta(days=900)},
        {"company_id": companies[1], "number": "201"},
        {"party": "kafer", "until": NOW - timedelta(days=500)},
        {"number": "201", "released_at": NOW, "released_by": "x", "release_reason": "x"},
    ):
        columns = {"name": "x", "reason": "x", "created_by": "x", **hold}
        db.execute(
            f"INSERT INTO legal_hold ({', '.join(columns)})"
            f" VALUES ({', '.join('%s' for _ in columns)})",
            list(columns.values()),
        )
    for limits in itertools.product((0, 3, 12, 24), repeat=2):
        months = dict(zip(companies, (*limits, 3, 60), strict=True))
        found = {row.company_id: row for row in expiry.preview(db, NOW, months)}
        for owner, limit in months.items():
            todo, after = 0, None
            while batch := expiry.due(db, NOW, owner, limit, after, 7):
                todo += len(batch)
                after = batch[-1].started_at, batch[-1].id
            assert todo == (found[owner].deleted if owner in found else 0), (limits, owner)
        assert any(row.held_calls for row in found.values())
