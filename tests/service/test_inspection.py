"""Sweep, scrub, damage and books, on a real poller, archiver and PBX: what is lost is found, told
apart from what is deleted or on its way, and fetched again while the PBX has it.
"""

import errno
import random
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest

from common import commands
from common.store import Store
from daemons.housekeeper.books import Books, Tidy
from daemons.housekeeper.damage import Damages
from daemons.housekeeper.queries import licences
from daemons.housekeeper.scrub import Scrub
from daemons.housekeeper.sweep import COMMAND, Sweep
from tests.quiet import Quiet
from tests.service.rig import Rig

Connect = Callable[[str], psycopg.Connection[Any]]


class Inspector:
    """The chores that inspect the archive of a rig, and a clock that goes only when told."""

    def __init__(self, rig: Rig, connect_as: Connect) -> None:
        self.rig = rig
        self.seconds = 0.0
        self._connect = connect_as
        self.start()

    def start(self) -> None:
        """Start the chores anew, as after a crash."""
        db = self._connect("housekeeper")
        self.damages = Damages(db, Store(self.rig.root), licences.box(db), self.rig.now)
        self.sweep = Sweep(db, self.damages, self.rig.now)
        self.scrub = Scrub(db, self.damages, self.rig.now, 30, lambda: self.seconds)
        self.books = Books(db, self.rig.now, time(2), ZoneInfo("UTC"))
        self.tidy = Tidy(db, self.rig.now)

    def swept(self) -> None:
        """Sweep once, all of it."""
        with self.rig.db.transaction():
            commands.ask(self.rig.db, "housekeeper", COMMAND, {}, "sysadmin")
        while self.sweep.turn(Quiet()):  # type: ignore[arg-type]
            pass
        self.rig.db.execute("DELETE FROM command")

    def scrubbed(self) -> int:
        """Scrub one round, and return how many seconds it took at its pace."""
        began = self.seconds
        self.rig.offset += timedelta(days=8)
        self.scrub.turn(Quiet())  # type: ignore[arg-type]
        while self.running():
            self.seconds += 1
            while self.scrub.turn(Quiet()):  # type: ignore[arg-type]
                pass
        self.rig.offset -= timedelta(days=8)
        return int(self.seconds - began)

    def running(self) -> bool:
        query = (
            "SELECT EXISTS (SELECT FROM inspection WHERE kind = 'scrub' AND finished_at IS NULL)"
        )
        return bool(self.rig.value(query))

    def looked(self) -> None:
        """Look at all known damage again."""
        self.damages._next = 0.0
        while self.damages.turn(Quiet()):  # type: ignore[arg-type]
            pass

    def damage(self) -> list[tuple[str, str, str | None]]:
        """Return kind, path and how it ended of all damage."""
        return self.rig.rows("SELECT kind::text, path, ended_by::text FROM damage ORDER BY id")

    def stored(self) -> list[Path]:
        return [path for path in self.rig.files() if path.suffix == ".csrec"]

    def name(self, path: Path) -> str:
        return str(path.relative_to(self.rig.root))


@pytest.fixture
def inspector(rig: Rig, connect_as: Connect) -> Inspector:
    rig.finish()
    made = Inspector(rig, connect_as)
    assert made.damages.is_there()
    return made


def flip(path: Path) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_archive_that_is_whole_has_nothing_to_report(inspector: Inspector) -> None:
    inspector.swept()
    inspector.scrubbed()
    assert inspector.damage() == []
    files = len(inspector.stored())
    assert inspector.rig.rows("SELECT kind::text, files, found FROM inspection ORDER BY id") == [
        ("sweep", files, 0), ("scrub", files, 0),
    ]  # fmt: skip
    total = sum(path.stat().st_size for path in inspector.stored())
    assert inspector.rig.value("SELECT bytes FROM inspection WHERE kind = 'scrub'") == total


def test_what_is_missing_mismatched_or_untracked_is_found_and_fetched_again(
    inspector: Inspector,
) -> None:
    missing, altered, cut, *_ = inspector.stored()
    plain = {
        remote: inspector.rig.plaintext(remote)
        for (remote,) in inspector.rig.rows(
            "SELECT remote_id FROM recording WHERE state = 'stored'"
        )
    }
    missing.unlink()
    flip(altered)
    cut.write_bytes(cut.read_bytes()[:-1])
    foreign = missing.parent / "notes.txt"
    foreign.write_text("not ours")
    stray = missing.parent / f"{UUID(int=7)}.csrec"
    stray.write_text("nobody's")
    inspector.swept()
    inspector.scrubbed()
    assert sorted(inspector.damage()) == sorted([
        ("missing", inspector.name(missing), None),
        ("mismatched", inspector.name(altered), None),
        ("mismatched", inspector.name(cut), None),
        ("untracked", inspector.name(foreign), None),
        ("untracked", inspector.name(stray), None),
    ])  # fmt: skip
    inspector.swept()
    inspector.scrubbed()
    assert len(inspector.damage()) == 5
    inspector.looked()
    inspector.rig.fetch()
    inspector.looked()
    kinds = {kind: ended for kind, _, ended in inspector.damage()}
    assert kinds == {"missing": "fetched", "mismatched": "fetched", "untracked": None}
    for remote, content in plain.items():
        assert inspector.rig.plaintext(remote) == content
    foreign.unlink()
    stray.unlink()
    inspector.looked()
    inspector.swept()
    inspector.scrubbed()
    assert all(ended for _, _, ended in inspector.damage())
    assert len(inspector.damage()) == 5
    audit = inspector.rig.rows(
        "SELECT action, count(*) FROM audit WHERE actor = 'housekeeper' GROUP BY 1 ORDER BY 1"
    )
    assert audit == [("recording.damaged", 3), ("recording.repaired", 3)]


def test_what_the_pbx_no_longer_has_stays_damaged_until_it_is_put_back(
    inspector: Inspector,
) -> None:
    path, *_ = inspector.stored()
    content = path.read_bytes()
    path.unlink()
    inspector.swept()
    inspector.rig.offset = timedelta(days=30)
    inspector.looked()
    assert inspector.rig.value("SELECT count(*) FROM recording WHERE next_try_at IS NOT NULL") == 0
    assert inspector.damage() == [("missing", inspector.name(path), None)]
    path.write_bytes(content)
    inspector.looked()
    assert inspector.damage() == [("missing", inspector.name(path), "found")]


def test_the_pbx_is_asked_once_a_day_not_with_each_look(inspector: Inspector) -> None:
    path, *_ = inspector.stored()
    path.unlink()
    inspector.swept()
    waiting = "SELECT count(*) FROM recording WHERE next_try_at IS NOT NULL"
    inspector.looked()
    assert inspector.rig.value(waiting) == 1
    inspector.rig.db.execute("UPDATE recording SET next_try_at = NULL")
    inspector.looked()
    assert inspector.rig.value(waiting) == 0
    inspector.rig.offset += timedelta(days=1, minutes=1)
    inspector.looked()
    assert inspector.rig.value(waiting) == 1


def test_while_the_archive_is_not_mounted_nothing_is_missed(
    inspector: Inspector, tmp_path: Path
) -> None:
    inspector.swept()
    aside = tmp_path / "aside"
    inspector.rig.root.rename(aside)
    inspector.rig.root.mkdir()
    inspector.swept()
    inspector.scrub.turn(Quiet())  # type: ignore[arg-type]
    assert not inspector.damages.is_there()
    assert inspector.damage() == []
    inspector.start()
    assert not inspector.damages.is_there()
    inspector.rig.root.rmdir()
    aside.rename(inspector.rig.root)
    assert inspector.damages.is_there()


def test_a_mark_that_was_cut_off_is_made_and_a_full_disk_stops_nothing(
    rig: Rig, connect_as: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(rig, connect_as)
    (Store(rig.root).incoming(0) / "archive.id").write_text("half")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "mark", full)
    assert inspector.damages.is_there()
    monkeypatch.undo()
    assert not (rig.root / "archive.id").exists()
    assert inspector.damages.is_there()
    assert (rig.root / "archive.id").exists()


def test_the_archive_of_another_box_is_not_taken_for_ours(inspector: Inspector) -> None:
    assert inspector.damages.is_there()
    (inspector.rig.root / "archive.id").write_text(f"{UUID(int=1)}\n")
    assert not inspector.damages.is_there()
    inspector.start()
    assert not inspector.damages.is_there()


def test_what_is_left_of_a_deleted_recording_goes_and_what_is_on_its_way_stays(
    inspector: Inspector,
) -> None:
    left, coming, *_ = inspector.stored()
    db = inspector.rig.db
    db.execute("INSERT INTO purge (asked_by, started_at, archive_calls, planned_calls,"
               " planned_bytes, held_calls) VALUES ('x', now(), 1, 1, 1, 0)")  # fmt: skip
    gone = left.stem
    for table, column in (("recording_audio", "recording_id"), ("recording_owner", "recording_id"),
                          ("ownership_due", "recording_id"), ("recording", "id")):  # fmt: skip
        db.execute(f"DELETE FROM {table} WHERE {column} = %s", [gone])
    db.execute("INSERT INTO tombstone (recording_id, company_id, purge_id, reason, asked_by)"
               " VALUES (%s, 201, 1, 'retention', 'x')", [gone])  # fmt: skip
    db.execute("DELETE FROM recording_audio WHERE recording_id = %s", [coming.stem])
    db.execute("UPDATE recording SET state = 'listed', stored_at = NULL, next_try_at = now()"
               " WHERE id = %s", [coming.stem])  # fmt: skip
    inspector.swept()
    assert inspector.damage() == []
    assert inspector.rig.rows("SELECT path FROM unlink_pending") == [(inspector.name(left),)]


def test_a_scrub_that_is_killed_goes_on_where_it_was_at_a_pace(inspector: Inspector) -> None:
    for path in inspector.stored():
        flip(path)
    inspector.scrub.turn(Quiet())  # type: ignore[arg-type]
    chance = random.Random(1)
    for _ in range(100_000):
        if not inspector.running():
            break
        inspector.seconds += 0.2
        inspector.scrub.turn(Quiet())  # type: ignore[arg-type]
        if chance.random() < 0.1:
            inspector.start()
    assert not inspector.running()
    assert len(inspector.damage()) == len(inspector.stored())
    inspector.start()
    total = sum(path.stat().st_size for path in inspector.stored())
    assert inspector.scrubbed() >= total // (1 << 20) - 16


def test_the_scrub_rests_until_a_week_after_it_began(inspector: Inspector) -> None:
    inspector.scrubbed()
    inspector.rig.offset += timedelta(days=7)
    inspector.scrub.turn(Quiet())  # type: ignore[arg-type]
    assert not inspector.running()
    inspector.rig.offset += timedelta(days=8, minutes=1)
    inspector.scrub.turn(Quiet())  # type: ignore[arg-type]
    assert inspector.running()


def test_the_books_say_what_became_of_what_was_listed(inspector: Inspector) -> None:
    rig = inspector.rig
    inspector.books.turn(Quiet())  # type: ignore[arg-type]
    while inspector.books.turn(Quiet()):  # type: ignore[arg-type]
        pass
    sums = "SELECT sum(listed), sum(stored + waiting + gone), sum(unexplained) FROM completeness"
    count = rig.value("SELECT count(*) FROM recording")
    assert rig.rows(sums) == [(count, count, 0)]
    lost = rig.value("SELECT id FROM recording WHERE state = 'stored' LIMIT 1")
    for table, column in (("recording_audio", "recording_id"), ("recording_owner", "recording_id"),
                          ("ownership_due", "recording_id"), ("recording", "id")):  # fmt: skip
        rig.db.execute(f"DELETE FROM {table} WHERE {column} = %s", [lost])
    rig.offset += timedelta(hours=1)
    inspector.books.turn(Quiet())  # type: ignore[arg-type]
    assert rig.rows(sums) == [(count, count, 0)]  # settled: once a day
    rig.offset += timedelta(days=1)
    while inspector.books.turn(Quiet()):  # type: ignore[arg-type]
        pass
    assert rig.rows(sums) == [(count, count - 1, 1)]


def test_the_books_follow_what_is_open_within_minutes(rig: Rig, connect_as: Connect) -> None:
    inspector = Inspector(rig, connect_as)

    def counted() -> list[Any]:
        rig.offset += timedelta(minutes=5)
        while inspector.books.turn(Quiet()):  # type: ignore[arg-type]
            pass
        return rig.rows("SELECT sum(stored)::int, sum(waiting)::int FROM completeness")

    assert counted() == [(None, None)]
    rig.poll()
    count = rig.value("SELECT count(*) FROM recording")
    assert counted() == [(0, count)]
    rig.fetch()
    assert counted() == [(count, 0)]


def test_the_clock_to_a_loss_starts_at_the_oldest_call_that_is_not_stored(rig: Rig) -> None:
    rig.poll()
    oldest = rig.value("SELECT min(started_at) FROM recording")
    row = "SELECT unfetched, stuck, unlisted > now() - interval '1 hour' FROM loss_clock"
    assert rig.rows(row) == [(oldest, None, True)]
    rig.db.execute("UPDATE recording SET listed_at = now() - interval '7 hours'")
    assert rig.rows(row) == [(oldest, oldest, True)]
    rig.fetch()
    rig.db.execute("UPDATE company SET listed_until = now() - interval '3 days'")
    assert rig.rows(row) == [(None, None, False)]


def test_old_rows_go_and_newer_ones_stay(inspector: Inspector) -> None:
    db = inspector.rig.db
    db.execute("DELETE FROM outbox")
    for days in (1, 29, 31, 200):
        ago = datetime.now(UTC) - timedelta(days=days)
        db.execute("INSERT INTO outbox (topic, body, sent_at) VALUES ('x', '{}', %s)", [ago])
        db.execute("INSERT INTO inbox VALUES ('x', gen_random_uuid(), %s)", [ago])
        db.execute("INSERT INTO command (daemon, kind, asked_by, asked_at)"
                   " VALUES ('x', 'x', 'x', %s)", [ago])  # fmt: skip
        db.execute("INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at,"
                   " settled_at, settled_by) VALUES (%s, 'x', 'x', 'x', 'x', now(), %s, 'x')",
                   [str(days), ago])  # fmt: skip
    db.execute("INSERT INTO outbox (topic, body) VALUES ('waits', '{}')")
    inspector.tidy.turn(Quiet())  # type: ignore[arg-type]
    counts = {
        table: inspector.rig.value(f"SELECT count(*) FROM {table}")
        for table in ("outbox", "inbox", "command", "dead_letter")
    }
    assert counts == {"outbox": 3, "inbox": 2, "command": 2, "dead_letter": 3}
