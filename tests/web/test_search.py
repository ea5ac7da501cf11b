"""The search against a reference: every row looked at, in Python."""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive
from webui.queries import search
from webui.queries.search import Wanted
from webui.scope import Scope

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("Alice Archer", "Bob Baker", "Zoë Clerk", "O'Neill 100%", "under_score")


@pytest.fixture
def crowd(archive: Archive, db: Connection) -> list[int]:
    """Companies with 3,000 calls, many of which began in the same second; users own some."""
    chance = random.Random(5)
    companies = [
        row[0]
        for row in db.execute(
            "INSERT INTO company (pbx_id, name, label)"
            " SELECT %s, n::text, 'Company ' || n FROM generate_series(1, 4) n RETURNING id",
            [archive.pbx],
        )
    ]
    users = [archive.user(name) for name in ("alice", "bob")]
    rows = []
    for number in range(3000):
        name = chance.choice(NAMES)
        rows.append(
            [
                UUID(int=chance.getrandbits(128)), archive.pbx, chance.choice(companies[:3]),
                str(number), archive.poll, BEGIN + timedelta(minutes=chance.randrange(57)),
                chance.choice([0, 3, 40, 700, 4000]), str(200 + chance.randrange(5)),
                chance.choice(["0", "+44"]) + str(1632960000 + chance.randrange(300)), name,
                chance.choice(["inbound", "outbound", "internal", None]),
            ]
        )  # fmt: skip
    with db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at,"
            " duration, caller, callee, caller_name, direction, next_try_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now())",
            rows,
        )
        cursor.executemany(
            "INSERT INTO recording_owner VALUES (%s, %s, %s)",
            [[row[0], chance.choice(users), row[5]] for row in rows if chance.random() < 0.2],
        )
    return [*companies, *users]


def everything(db: Connection) -> list[dict[str, Any]]:
    names = ("id", "company", "start", "seconds", "direction", "parties", "owners")
    rows = db.execute(
        "SELECT id, company_id, started_at, duration, direction::text, parties,"
        " array(SELECT user_id FROM recording_owner o WHERE o.recording_id = r.id)"
        " FROM recording r ORDER BY started_at DESC, id DESC"
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def is_wanted(row: dict[str, Any], scope: Scope, wanted: Wanted) -> bool:
    return (
        (scope.everything or row["company"] in scope.companies or scope.user_id in row["owners"])
        and all(text.lower().replace("ë", "e") in row["parties"] for text in wanted.texts)
        and (wanted.since is None or row["start"] >= wanted.since)
        and (wanted.until is None or row["start"] < wanted.until)
        and (wanted.direction is None or row["direction"] == wanted.direction)
        and (wanted.shortest is None or row["seconds"] >= wanted.shortest)
        and (wanted.longest is None or row["seconds"] <= wanted.longest)
    )


@pytest.mark.parametrize("looked", [20, 4000])
def test_every_page_in_both_directions_is_what_the_reference_says(
    db: Connection,
    connect_as: Callable[[str], Connection],
    crowd: list[int],
    monkeypatch: pytest.MonkeyPatch,
    looked: int,
) -> None:
    monkeypatch.setattr(search, "LOOKED", looked)
    monkeypatch.setattr(search, "MANY", looked // 2000)
    monkeypatch.setattr(search, "MOST_LOOKED", looked * 10)
    monkeypatch.setattr(search, "LOOKED_OWN", looked)
    one, two, three, empty, alice, bob = crowd
    scopes = [
        Scope(everything=True), Scope(companies=(one,)), Scope(companies=(one, two, empty)),
        Scope(user_id=alice), Scope(user_id=bob, companies=(three,)), Scope(companies=(empty,)),
        Scope(user_id=bob, companies=(two, empty)),
        Scope(),
    ]  # fmt: skip
    questions = [
        Wanted(),
        Wanted(("archer",)),
        Wanted(("ARCHER", "200")),
        Wanted(("zoe",)),
        Wanted(("zoë",)),
        Wanted(("960123",)),
        Wanted(("632960007",)),
        Wanted(("100%",)),
        Wanted(("under_",)),
        Wanted(("%",)),
        Wanted(("nobody at all",)),
        Wanted(since=BEGIN + timedelta(minutes=10), until=BEGIN + timedelta(minutes=30)),
        Wanted(("baker",), until=BEGIN + timedelta(minutes=20)),
        Wanted(direction="internal"),
        Wanted(shortest=4000),
        Wanted(longest=0, direction="inbound"),
    ]
    rows, web, pages = everything(db), connect_as("web"), 0
    for scope in scopes:
        for wanted in questions:
            expected = [row["id"] for row in rows if is_wanted(row, scope, wanted)]
            for newer in (False, True):
                found: list[UUID] = []
                key = None
                while True:
                    page = search.search(web, scope, wanted, key, 37, newer)
                    pages += 1
                    if key is None:
                        case = f"{scope} {wanted} {newer}: {page.total} of {len(expected)}"
                        assert (
                            page.total == len(expected)
                            if page.exact
                            else (len(page.calls) <= page.total <= len(expected))
                        ), case
                    found += [call.id for call in page.calls]
                    if len(page.calls) < 37 or len(found) > 37 * 6:
                        break
                    key = page.calls[-1].started_at, page.calls[-1].id
                order = expected[::-1] if newer else expected
                assert found == order[: len(found)], f"{scope} {wanted} {newer}"
                assert len(found) == len(expected) or len(found) > 37 * 6, f"{scope} {wanted}"
    assert pages > 300


def test_neighbours_are_those_of_the_search(db: Connection, crowd: list[int]) -> None:
    scope, wanted = Scope(companies=(crowd[0],)), Wanted(("archer",))
    calls = search.search(db, scope, wanted, None, 40).calls
    for before, call, after in zip(calls, calls[1:], calls[2:], strict=False):
        key = call.started_at, call.id
        found = search.neighbours(db, scope, wanted, key)
        assert [one and one.id for one in found] == [after.id, before.id]


def test_the_address_holds_the_search_and_pages_follow_each_other(
    sysadmin: Browser, crowd: list[int]
) -> None:
    address, found = "/calls?q=archer&direction=inbound&length=from-10", []
    for _ in range(50):
        page = sysadmin.get(address).text
        found += re.findall(r'id="call-([0-9a-f-]+)"', page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        if older is None:
            break
        address = older[1].replace("&amp;", "&")
        assert "q=archer" in address
        assert "length=from-10" in address
    assert len(found) == len(set(found)) > 60
    assert 'value="archer"' in page


def test_what_is_wrong_in_the_address_is_said_and_finds_nothing(
    sysadmin: Browser, crowd: list[int]
) -> None:
    for query, words in (
        ("q=ab", "too short"),
        ("q=2026-13", "is not a day"),
        ("since=soon", "Enter a day"),
        ("direction=up", "Choose one of these"),
        ("length=1", "Choose one of these"),
        ("whose=mine", "Choose one of these"),
        ("whose=x", "Choose one of these"),
        ("q=" + "x" * 500, "are the most"),
    ):
        answer = sysadmin.get(f"/calls?{query}")
        assert answer.status_code == 422, query
        assert words in answer.text, query
        assert "call-" not in answer.text.partition("<main")[2], query
        assert sysadmin.get(f"/calls.csv?{query}").status_code == 422
    for query in ("q=%00", "q=%F0%9F%98%80", "before=x", "before=2026-01-01T00:00~x"):
        assert sysadmin.get(f"/calls?{query}").status_code in (200, 400, 422), query


def test_a_full_page_is_small(sysadmin: Browser, crowd: list[int]) -> None:
    assert len(sysadmin.get("/calls").data) < 60_000
