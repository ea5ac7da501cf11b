"""Who reaches which call: every way to a recording, as everybody, on everybody's calls."""

import csv
import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive
from tests.web.world import ARGUMENT
from webui.views.links import digest

OTHER_COMPANY = UUID("6f1f4f0e-54a3-4c0c-9c51-3a0d5f6f0d12")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SPEECH = bytes(range(256)) * 40


@dataclass
class Matrix:
    """People with the calls that they may hear; `calls` are all, by name."""

    browsers: dict[str, Browser] = field(default_factory=dict)
    calls: dict[str, UUID] = field(default_factory=dict)
    may: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture
def matrix(
    archive: Archive,
    as_user: Callable[..., Browser],
    log_in: Callable[[str], Browser],
    app: Flask,
    mail: bytes,
) -> Matrix:
    """Alice and Bob of one company, Dave of another, and a manager of each."""
    made = Matrix()
    first, second = archive.company(), archive.company("Demonstration", OTHER_COMPANY)
    alice, bob, dave, carol, grace = (
        archive.user(name) for name in ("alice", "bob", "dave", "carol", "grace")
    )
    uids = {first: archive_uid(archive, first), second: OTHER_COMPANY}
    for number, (name, company, owners) in enumerate(
        [
            ("alices", first, [alice]),
            ("bobs", first, [bob]),
            ("both", first, [alice, bob]),
            ("nobodys", first, []),
            ("daves", second, [dave]),
            ("between", second, [dave, alice]),
            ("theirs", second, []),
        ]
    ):
        made.calls[name], _ = archive.stored(
            company, SPEECH, uid=uids[company], owners=owners, callee=f"0163296{number:04}",
            started_at=NOON + timedelta(minutes=number),
        )  # fmt: skip
    made.browsers = {
        "alice": as_user(alice),
        "bob": as_user(bob),
        "dave": as_user(dave),
        "carol": as_user(carol, first),
        "grace": as_user(grace, second),
        "alice, who manages the other company": as_user(alice, second),
        "sysadmin": log_in("sysadmin"),
        "nobody": Browser(app),
    }
    ones = {"alices", "bobs", "both", "nobodys"}
    made.may = {
        "alice": {"alices", "both", "between"},
        "bob": {"bobs", "both"},
        "dave": {"daves", "between"},
        "carol": ones,
        "grace": {"daves", "between", "theirs"},
        "alice, who manages the other company": {"alices", "both", "daves", "between", "theirs"},
        "sysadmin": set(made.calls),
        "nobody": set(),
    }
    return made


def archive_uid(archive: Archive, company: int) -> UUID:
    row = archive.db.execute("SELECT uid FROM company WHERE id = %s", [company]).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def test_every_way_to_a_recording_is_open_to_those_who_may_hear_it_and_to_nobody_else(
    app: Flask, matrix: Matrix
) -> None:
    ways = [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if "recording_id" in rule.arguments
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]
    assert len(ways) >= 12
    ranges: list[dict[str, str]] = [{}, {"Range": "bytes=0-"}, {"Range": "bytes=100-200"},
                                    {"Range": "bytes=-5"}, {"If-None-Match": "*"}]  # fmt: skip
    tried = 0
    for (who, browser), (name, recording) in itertools.product(
        matrix.browsers.items(), matrix.calls.items()
    ):
        form = "/login" if who == "nobody" else "/calls"
        token = browser.csrf(form)
        for method, rule in ways:
            address = ARGUMENT.sub("1", rule.replace("<uuid:recording_id>", str(recording)))
            for headers in ranges if rule.endswith(("audio", "original", "wav")) else [{}]:
                data = {"csrf": token} if method == "POST" else None
                answer = browser.ask(method, address, data=data, headers=headers)
                case = f"{who} {method} {address} {headers} ({name}): {answer.status}"
                if name in matrix.may[who]:
                    closed = answer.status_code == 404 and "note_id" not in rule
                    assert not closed, case
                    assert answer.status_code in (200, 206, 404, 422), case
                elif who == "nobody":
                    assert answer.status_code in (401, 303), case
                    assert SPEECH[:64] not in answer.data, case
                else:
                    assert answer.status_code == 404, case
                    assert SPEECH[:64] not in answer.data, case
                tried += 1
    assert tried > 500


SEARCHES = (
    "/calls", "/calls?q=example", "/calls?q=016", "/calls?q=3296", "/calls?since=2026-11-20",
    "/calls?direction=outbound", "/calls?length=answered", "/calls?whose=mine", "/calls?q=2026-11",
    "/calls?whose=201", "/calls?whose=202", "/calls?whose=999999", "/calls?whose=99999999999",
)  # fmt: skip


def test_every_search_finds_what_one_may_hear_and_nothing_else(matrix: Matrix) -> None:
    names = {recording: name for name, recording in matrix.calls.items()}
    for who, browser in matrix.browsers.items():
        if who == "nobody":
            continue
        for address in SEARCHES:
            page = browser.get(address).text
            rows = browser.get(address.replace("/calls", "/calls.csv")).text
            found = {names[call] for call in names if str(call) in page}
            assert found <= matrix.may[who], f"{who} {address}"
            saved = {names[call] for call in names if str(call) in rows}
            if '<h1 class="hidden">Calls' not in rows:
                assert saved == found, f"{who} {address}"
            if address in SEARCHES[:7]:
                assert found == matrix.may[who], f"{who} {address}"


def test_a_page_leads_to_no_neighbour_that_one_may_not_hear(matrix: Matrix) -> None:
    for who, browser in matrix.browsers.items():
        for name in matrix.may[who]:
            for search in ("", "?q=example", "?whose=mine", "?whose=202"):
                page = browser.get(f"/recordings/{matrix.calls[name]}{search}").text
                others = {other for other, call in matrix.calls.items() if str(call) in page}
                assert others <= matrix.may[who], f"{who} {name}{search}"


def test_what_one_may_not_hear_looks_like_what_does_not_exist(matrix: Matrix) -> None:
    missing = UUID(int=7)
    for way in ("", "/audio", "/original", "/wav", "/peaks", "/share"):
        theirs = matrix.browsers["alice"].get(f"/recordings/{matrix.calls['bobs']}{way}")
        nothing = matrix.browsers["alice"].get(f"/recordings/{missing}{way}")
        assert (theirs.status_code, theirs.text) == (nothing.status_code, nothing.text)


def test_notes_are_for_those_who_hear_the_call_and_removed_by_their_author(
    matrix: Matrix, db: Connection
) -> None:
    both = f"/recordings/{matrix.calls['both']}"
    alice, bob, dave = (matrix.browsers[name] for name in ("alice", "bob", "dave"))
    assert alice.post(f"{both}/notes", page=both, at="0:01", body="He agrees.").status_code == 303
    for who, browser in matrix.browsers.items():
        seen = "He agrees." in browser.get(both).text
        assert seen == ("both" in matrix.may[who]), who
    (note,) = db.execute("SELECT id FROM call_note").fetchone() or [None]
    assert bob.post(f"{both}/notes/{note}/remove", page=both).status_code == 404
    assert dave.post(f"{both}/notes/{note}/remove", page="/calls").status_code == 404
    other = f"/recordings/{matrix.calls['alices']}"
    assert alice.post(f"{other}/notes/{note}/remove", page=both).status_code == 404
    assert alice.post(f"{both}/notes/{note}/remove", page=both).status_code == 303
    assert db.execute("SELECT count(*) FROM call_note").fetchone() == (0,)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"at": "0:01", "body": " "}, "Write something."),
        ({"at": "soon", "body": "x"}, "Enter a time in the call"),
        ({"at": "0:61", "body": "x"}, "Enter a time in the call"),
        ({"at": "9:00:00", "body": "x"}, "Enter a time in the call"),
        ({"at": "0:01", "body": "x" * 2001}, "2000 are the most"),
    ],
)
def test_a_bad_note_is_said_and_what_was_typed_stays(
    matrix: Matrix, db: Connection, fields: dict[str, str], words: str
) -> None:
    page = f"/recordings/{matrix.calls['alices']}"
    answer = matrix.browsers["alice"].post(f"{page}/notes", page=page, **fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert fields["body"].strip() in answer.text
    assert db.execute("SELECT count(*) FROM call_note").fetchone() == (0,)


def test_whoever_may_hear_a_call_sees_who_did(matrix: Matrix) -> None:
    both = f"/recordings/{matrix.calls['both']}"
    matrix.browsers["alice"].get(f"{both}/audio?view=first-view")
    matrix.browsers["carol"].get(f"{both}/wav")
    page = matrix.browsers["bob"].get(both).text
    assert "alice@pbx10 played it" in page
    assert "carol@pbx10 downloaded it" in page


def test_a_table_of_calls_runs_no_formula_and_says_all(matrix: Matrix, db: Connection) -> None:
    db.execute("UPDATE recording SET caller = '=1+1', caller_name = '@SUM(A1)'")
    text = matrix.browsers["alice"].get("/calls.csv").data.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3
    assert {row["caller"] for row in rows} == {"'=1+1"}
    assert {row["caller name"] for row in rows} == {"'@SUM(A1)"}
    started = [row["started"] for row in rows]
    assert started == sorted(started, reverse=True)
    assert rows[0]["address"].endswith(f"/recordings/{rows[0]['id']}")
    assert rows[0]["company"] == "Demonstration"


def test_links_are_seen_and_ended_by_their_senders_and_by_sysadmin(
    matrix: Matrix, db: Connection
) -> None:
    both = f"/recordings/{matrix.calls['both']}/share"
    fields = {"recipients": "x@example.com", "hours": "12", "plays": ""}
    assert matrix.browsers["alice"].post(both, page=both, **fields).status_code == 303
    (link,) = db.execute("SELECT id FROM link").fetchone() or [None]
    for who, browser in matrix.browsers.items():
        if who == "nobody":
            continue
        sees = who.startswith("alice") or who == "sysadmin"
        assert ("x@example.com" in browser.get("/links").text) == sees, who
        if not sees:
            answer = browser.post(f"/links/{link}/revoke", page="/calls")
            assert answer.status_code == 404, who
    assert db.execute("SELECT revoked_at FROM link").fetchone() == (None,)
    sysadmin = matrix.browsers["sysadmin"]
    assert sysadmin.post(f"/links/{link}/revoke", page="/calls").status_code == 303
    assert db.execute("SELECT revoked_by FROM link").fetchone() == ("sysadmin",)


def test_a_link_opens_one_call_and_no_other_door(
    app: Flask, matrix: Matrix, db: Connection
) -> None:
    token = "g" * 43
    db.execute(
        "WITH m AS (INSERT INTO mail (kind, recipient, expires_at, sent_at, next_try_at)"
        " VALUES ('link', 'x@example.com', now(), now(), NULL) RETURNING id)"
        " INSERT INTO link (token_sha256, recording_id, sender, sender_name, recipient, mail_id,"
        " expires_at) SELECT %s, %s, 'alice@pbx10', 'Alice', 'x@example.com', id,"
        " now() + interval '1 hour' FROM m",
        [digest(token), matrix.calls["both"]],
    )
    browser = Browser(app)
    page = f"/listen/{token}"
    assert browser.post(page, page=page).status_code == 303
    assert browser.get(f"{page}/audio").status_code == 200
    for name, call in matrix.calls.items():
        for way in ("", "/audio", "/original", "/wav", "/peaks", "/share"):
            answer = browser.get(f"/recordings/{call}{way}")
            assert answer.status_code in (303, 401), f"{name}{way}"
    for address in ("/calls", "/calls.csv", "/links", "/", "/companies"):
        assert browser.get(address).status_code == 303, address
    assert str(matrix.calls["both"]) not in browser.get(page).text
