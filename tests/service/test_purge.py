"""Deleting: what expires goes with key and file, what a hold covers stays, the brake holds."""

import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest

from common import commands, expiry
from common.store import Fence, Store
from common.zone import latest
from daemons.housekeeper.purge import COMMAND, Purge
from tests.quiet import Quiet

Connect = Callable[[str], psycopg.Connection[Any]]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
YEAR = 12
OLD = expiry.cutoff(NOW - expiry.MARGIN, YEAR)  # what began before this has expired


class House:
    """A housekeeper's purge with a clock of its own, and an archive with files that are stubs."""

    def __init__(self, root: Path, db: psycopg.Connection[Any], connect_as: Connect) -> None:
        self.db = db
        self.store = Store(root)
        self.offset = timedelta()
        self._connect = connect_as
        self._number = itertools.count()
        db.execute("INSERT INTO pbx (name, url, token_sealed, timezone, keep_months)"
                   " VALUES ('x', 'https://x', 'x', 'UTC', 12)")  # fmt: skip
        db.execute("INSERT INTO poll (pbx_id, trigger, state, finished_at)"
                   " VALUES (10, 'first', 'finished', now())")  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start the housekeeper anew, as after a crash."""
        self.purge = Purge(
            self._connect("housekeeper"), self.store, lambda: NOW + self.offset, time(2), LONDON, 20
        )

    def company(self, name: str = "one", months: int | None = None) -> int:
        row = self.db.execute(
            "INSERT INTO company (pbx_id, name, label, keep_months, created_at)"
            " VALUES (10, %s, %s, %s, %s) RETURNING id",
            [name, name, months, NOW - timedelta(days=400)],
        ).fetchone()
        assert row is not None
        self.db.execute(
            "INSERT INTO company_key (company_id, version, kid, public_key, private_sealed)"
            " VALUES (%s, 1, lpad(to_hex(%s::bigint), 16, '0'), 'x', 'x')",
            [row[0], row[0]],
        )
        return int(row[0])

    def add(
        self, company: int, started: datetime, count: int = 1, caller: str = "200",
        state: str = "stored",
    ) -> list[UUID]:  # fmt: skip
        made = []
        for _ in range(count):
            recording = uuid4()
            self.db.execute(
                "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at,"
                " duration, caller, callee, state, stored_at, next_try_at)"
                " VALUES (%s, 10, %s, %s, 1, %s, 9, %s, '01632960000', %s, %s, %s)",
                [
                    recording, company, str(next(self._number)), started, caller, state,
                    NOW if state == "stored" else None, NOW if state == "listed" else None,
                ],
            )  # fmt: skip
            if state == "stored":
                path = self.store.path(company, started, recording)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x" * 10)
                self.db.execute(
                    "INSERT INTO recording_audio SELECT %s, %s, 1, 0, 'e', 10, sha256('f'), 9,"
                    " sha256('a'), 'audio/wav', 'ulaw', 1, 8000, 1, 44, 9",
                    [recording, company],
                )
            made.append(recording)
        self.db.execute(
            "INSERT INTO company_usage AS u VALUES (%s, 1, %s, %s) ON CONFLICT (company_id,"
            " instance) DO UPDATE SET calls = u.calls + excluded.calls,"
            " bytes = u.bytes + excluded.bytes",
            [company, count * (state == "stored"), 10 * count * (state == "stored")],
        )
        return made

    def run(self, most: int = 10_000) -> int:
        """Turn until there is nothing to do and return how often that was."""
        for turns in range(most):
            if not self.purge.turn(Quiet()):  # type: ignore[arg-type]
                return turns
        return most

    def ids(self, table: str = "recording") -> set[UUID]:
        column = "id" if table == "recording" else "recording_id"
        return {row[0] for row in self.db.execute(f"SELECT {column} FROM {table}")}

    def files(self) -> set[str]:
        return {path.stem for path in self.store.root.rglob("*.csrec")}

    def value(self, query: str) -> Any:
        row = self.db.execute(query).fetchone()
        return row[0] if row else None

    def balanced(self) -> None:
        """Check that rows, files, keys and sums agree."""
        stored = {str(r) for r in self.ids("recording_audio")}
        assert self.files() == stored
        assert self.ids("recording_audio") <= self.ids()
        assert not self.ids() & self.ids("tombstone")
        assert self.value("SELECT count(*) FROM unlink_pending") == 0
        assert self.value("SELECT coalesce(sum(calls), 0) FROM company_usage") == len(stored)
        assert self.value("SELECT coalesce(sum(bytes), 0) FROM company_usage") == 10 * len(stored)


@pytest.fixture
def house(tmp_path: Path, db: psycopg.Connection[Any], connect_as: Connect) -> House:
    return House(tmp_path, db, connect_as)


SECOND = timedelta(seconds=1)


def test_what_has_expired_goes_with_key_and_file_and_leaves_a_tombstone(house: House) -> None:
    company = house.company()
    old, new = house.add(company, OLD - SECOND, 3), house.add(company, OLD, 30)
    house.run()
    assert house.ids() == set(new)
    assert house.ids("tombstone") == set(old)
    house.balanced()
    assert house.db.execute(
        "SELECT state::text, planned_calls, deleted_calls, deleted_bytes, held_calls FROM purge"
    ).fetchall() == [("finished", 3, 3, 30, 0)]
    assert house.db.execute("SELECT DISTINCT reason::text, asked_by FROM tombstone").fetchall() == [
        ("retention", "housekeeper")
    ]
    assert house.value("SELECT count(*) FROM audit WHERE action = 'purge.finished'") == 1


def test_everything_that_is_known_of_a_call_goes_with_it(house: House) -> None:
    (call,) = house.add(house.company(), OLD - SECOND)
    house.db.execute("INSERT INTO pbx_user (pbx_id, remote_id) VALUES (10, 'u')")
    for query in (
        "INSERT INTO recording_owner VALUES (%s, 1, now())",
        "INSERT INTO ownership_due SELECT %s, 201",
        "INSERT INTO call_note (recording_id, second, body, author, author_name)"
        " VALUES (%s, 1, 'secret', 'a', 'a')",
        "WITH m AS (INSERT INTO mail (kind, recipient, expires_at, sent_at, next_try_at)"
        " VALUES ('link', 'x', now(), now(), NULL) RETURNING id) INSERT INTO link (token_sha256,"
        " recording_id, sender, sender_name, recipient, mail_id, expires_at) SELECT sha256('t'),"
        " %s, 'a', 'a', 'x', id, now() + interval '1 hour' FROM m",
    ):
        house.db.execute(query, [call])
    house.db.execute("INSERT INTO link_visit (link_id, token_sha256, until)"
                     " VALUES (1, sha256('b'), now())")  # fmt: skip
    house.run()
    house.balanced()
    for table in ("recording_owner", "ownership_due", "call_note", "link", "link_visit"):
        assert house.value(f"SELECT count(*) FROM {table}") == 0, table


def test_what_is_still_to_be_fetched_never_expires(house: House) -> None:
    company = house.company()
    waiting = house.add(company, OLD - timedelta(days=900), state="listed")
    gone = house.add(company, OLD - timedelta(days=900), state="gone")
    house.run()
    assert house.ids() == set(waiting)
    assert house.ids("tombstone") == set(gone)


def test_a_hold_keeps_what_it_covers(house: House) -> None:
    company = house.company()
    held = house.add(company, OLD - SECOND, 5, caller="203")
    house.add(company, OLD - SECOND, 5, caller="204")
    house.db.execute("INSERT INTO legal_hold (name, reason, number, created_by)"
                     " VALUES ('x', 'y', '203', 'z')")  # fmt: skip
    house.run()
    assert house.ids() == set(held)
    house.balanced()
    assert house.value("SELECT held_calls FROM purge") == 5


def test_a_hold_that_comes_while_it_deletes_keeps_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemons.housekeeper.purge.BATCH", 10)
    calls = house.add(house.company(), OLD - SECOND, 50)
    house.run(2)
    with house.db.transaction():
        expiry.one_at_a_time(house.db)
        house.db.execute("INSERT INTO legal_hold (name, reason, created_by)"
                         " VALUES ('x', 'y', 'z')")  # fmt: skip
    house.run()
    left = len(house.ids())
    assert 0 < left < 50
    assert len(house.ids("tombstone")) == 50 - left
    assert house.ids() <= set(calls)
    house.balanced()


def test_a_longer_limit_that_comes_while_it_deletes_keeps_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemons.housekeeper.purge.BATCH", 10)
    house.add(house.company(), OLD - SECOND, 50)
    house.run(2)
    house.db.execute("UPDATE company SET keep_months = 0")
    house.run()
    assert 0 < len(house.ids()) < 50
    house.balanced()


@pytest.mark.parametrize("point", range(14))
def test_killed_anywhere_it_goes_on_and_deletes_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """The process dies before its n-th statement or system call; the next one finishes the work."""
    monkeypatch.setattr("daemons.housekeeper.purge.BATCH", 10)

    class Killed(BaseException):
        """The process dies here."""

    company = house.company()
    old, new = house.add(company, OLD - SECOND, 25), house.add(company, OLD, 5)
    left = [point * 4 + 1]

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", counting(psycopg.Connection.execute))
        patched.setattr(os, "unlink", counting(os.unlink))
        patched.setattr(os, "fsync", counting(os.fsync))
        with suppress(Killed):
            house.run()
    house.start()
    house.run()
    assert house.ids() == set(new)
    assert house.ids("tombstone") == set(old)
    house.balanced()


def test_the_brake_stops_a_large_deletion_until_it_is_permitted(house: House) -> None:
    company = house.company()
    house.add(company, OLD - SECOND, 101)
    house.add(company, OLD + timedelta(days=9), 350)
    house.run()
    assert house.value("SELECT state::text FROM purge") == "braked"
    assert len(house.ids()) == 451
    house.offset += timedelta(days=1)
    house.run()
    assert len(house.ids()) == 451
    house.db.execute("INSERT INTO purge_permit (calls, granted_at, granted_by)"
                     " VALUES (101, %s, 'sysadmin')", [NOW + house.offset])  # fmt: skip
    house.offset += timedelta(hours=15)
    house.run()
    assert len(house.ids()) == 350
    house.balanced()
    assert house.value("SELECT count(*) FROM purge_permit") == 0


@pytest.mark.parametrize(("calls", "hours"), [(80, 0), (101, 25)])
def test_a_permit_for_less_or_from_long_ago_is_none(house: House, calls: int, hours: float) -> None:
    house.add(house.company(), OLD - SECOND, 101)
    house.db.execute("INSERT INTO purge_permit (calls, granted_at, granted_by)"
                     " VALUES (%s, %s, 'x')", [calls, NOW - timedelta(hours=hours)])  # fmt: skip
    house.run()
    assert len(house.ids()) == 101


def test_a_company_goes_with_its_recordings_and_keys(house: House) -> None:
    kept, going = house.company("kept", 0), house.company("going", 0)
    others = house.add(kept, OLD - SECOND, 5)
    calls = house.add(going, NOW, 5) + house.add(going, NOW, 2, state="listed")
    house.db.execute("UPDATE company SET state = 'delete_pending', delete_requested_at = now(),"
                     " delete_requested_by = 'sysadmin' WHERE id = %s", [going])  # fmt: skip
    house.run()
    assert house.ids() == set(others)
    assert house.ids("tombstone") == set(calls)
    house.balanced()
    assert house.db.execute("SELECT id FROM company").fetchall() == [(kept,)]
    assert house.db.execute("SELECT company_id FROM company_key").fetchall() == [(kept,)]
    assert house.db.execute("SELECT DISTINCT reason::text, asked_by FROM tombstone").fetchall() == [
        ("company", "sysadmin")
    ]
    assert house.value("SELECT companies FROM purge") == 1
    detail = house.value("SELECT detail FROM audit WHERE action = 'company.deleted'")
    assert (detail["name"], detail["recordings"], len(detail["keys"])) == ("going", 7, 1)


def test_a_company_stays_while_a_hold_keeps_some_of_it(house: House) -> None:
    going = house.company("going")
    held = house.add(going, NOW, 2, caller="203")
    house.add(going, NOW, 5)
    house.db.execute("UPDATE company SET state = 'delete_pending', delete_requested_at = now(),"
                     " delete_requested_by = 'sysadmin'")  # fmt: skip
    house.db.execute("INSERT INTO legal_hold (name, reason, number, created_by)"
                     " VALUES ('x', 'y', '203', 'z')")  # fmt: skip
    house.run()
    assert house.ids() == set(held)
    assert house.value("SELECT count(*) FROM company_key") == 1
    house.db.execute("UPDATE legal_hold SET released_at = now(), released_by = 'x',"
                     " release_reason = 'y'")  # fmt: skip
    house.offset += timedelta(days=1)
    house.run()
    assert house.value("SELECT count(*) FROM company") == 0
    house.balanced()


def test_one_that_an_archiver_holds_is_left_for_the_next_night(house: House) -> None:
    busy, free = house.add(house.company(), OLD - SECOND, 2)
    fence = Fence(house.store.root)
    assert fence.take(busy)
    house.run()
    assert house.ids() == {busy}
    fence.close()
    house.offset += timedelta(days=1)
    house.run()
    assert house.ids() == set()
    assert house.ids("tombstone") == {busy, free}
    house.balanced()


def test_it_runs_once_a_day_at_its_time_and_after_the_machine_was_off(house: House) -> None:
    runs = "SELECT count(*) FROM purge"
    house.run()
    assert house.value(runs) == 0, "there are no companies yet"
    house.company()
    house.run()
    assert house.value(runs) == 1, "the machine was off at two o'clock"
    for hours, count in ((13.9, 1), (14.1, 2), (37.9, 2), (38.1, 3), (24 * 9, 4)):
        house.offset = timedelta(hours=hours)
        house.run()
        house.run()
        assert house.value(runs) == count, hours


def test_it_runs_on_request_and_says_what_it_will_do(house: House) -> None:
    company = house.company()
    house.run()
    house.add(company, OLD - SECOND, 3)
    with house.db.transaction():
        command = commands.ask(house.db, "housekeeper", COMMAND, {}, "sysadmin")
    house.run()
    answer = house.db.execute(
        "SELECT succeeded, answer FROM command WHERE id = %s", [command]
    ).fetchone()
    assert answer == (True, "Housekeeping deletes 3 recordings.")
    assert house.value("SELECT asked_by FROM purge ORDER BY id DESC LIMIT 1") == "sysadmin"
    assert house.ids() == set()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T12:00+00:00", "2026-11-24T02:00+00:00"),
        ("2026-11-24T01:59+00:00", "2026-11-23T02:00+00:00"),
        ("2026-07-01T01:00+00:00", "2026-07-01T01:00+00:00"),
        ("2026-07-01T00:59+00:00", "2026-06-30T01:00+00:00"),
        ("2026-03-29T12:00+00:00", "2026-03-29T01:00+00:00"),
        ("2026-10-25T12:00+00:00", "2026-10-25T02:00+00:00"),
    ],
)
def test_the_last_time_that_it_was_due(now: str, expected: str) -> None:
    assert latest(datetime.fromisoformat(now), time(2), LONDON) == datetime.fromisoformat(expected)
