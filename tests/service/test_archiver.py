"""Recordings on their way from a real PBX simulator into the archive."""

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common.daemon import Life
from common.store import Store
from daemons.archiver import batch
from daemons.archiver.archiver import Archiver
from simulators.pbx import client
from tests.service.rig import Rig
from tests.waiting import until


def calls(sim: Any) -> dict[str, dict[str, Any]]:
    return {call["file"]: call for call in sim.control("offered")["calls"]}


def a_call(sim: Any, codec: str = "ulaw") -> dict[str, Any]:
    return next(call for call in calls(sim).values() if call["codec"] == codec and call["duration"])


def state(rig: Rig, call: dict[str, Any]) -> tuple[Any, ...]:
    row = rig.rows(
        "SELECT state::text, waiting::text, attempts FROM recording WHERE remote_id = %s",
        call["file"],
    )
    return tuple(row[0])


def test_every_recording_is_stored_and_decrypts_to_what_the_pbx_served(rig: Rig, sim: Any) -> None:
    rig.finish()
    for name, call in calls(sim).items():
        assert hashlib.sha256(rig.plaintext(name)).hexdigest() == call["sha256"]
    assert len(rig.files()) == len(calls(sim))
    assert rig.rows("SELECT sum(calls), sum(bytes) FROM company_usage") == rig.rows(
        "SELECT count(*)::numeric, sum(file_size) FROM recording_audio"
    )
    codecs = {row[0] for row in rig.rows("SELECT codec FROM recording_audio")}
    assert codecs >= {"pcm", "ulaw", "alaw", "gsm", "mp3"}
    assert (
        rig.value("SELECT count(*) FROM recording_audio WHERE peaks IS NULL AND seconds > 0") == 0
    )


def test_an_archiver_that_lost_its_connection_unawares_does_no_harm(
    rig: Rig, sim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = rig.connect_as("archiver")
    pid = connection.info.backend_pid
    slow = Archiver(rig.settings, connection, 2, rig.now)
    rig.poll()

    def commit(one: batch.Batch) -> None:
        monkeypatch.undo()
        rig.db.execute("SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: not rig.value("SELECT 1 FROM pg_locks WHERE pid = %s", pid))
        rig.fetch()
        one.commit()

    monkeypatch.setattr(batch.Batch, "commit", commit)
    with pytest.raises(psycopg.OperationalError):
        slow.step(Life("archiver@2", "archiver", rig.settings.database, connection))
    slow.close()
    rig.offset = timedelta(hours=2)
    rig.fetch()
    assert len(rig.files()) == len(calls(sim))
    for name, call in calls(sim).items():
        assert hashlib.sha256(rig.plaintext(name)).hexdigest() == call["sha256"]


def test_no_plaintext_is_in_any_file(rig: Rig, sim: Any) -> None:
    rig.finish()
    for path in rig.files():
        data = path.read_bytes()
        assert b"RIFF" not in data[:4096]
        assert b"WAVEfmt" not in data


def test_a_recording_that_is_still_written_to_waits(rig: Rig, sim: Any) -> None:
    call = a_call(sim, "pcm")
    sim.control("grow", file=call["file"])
    rig.poll(trigger=False)
    growing = calls(sim)[call["file"]]
    rig.db.execute(
        "UPDATE recording SET listed_size = listed_size - 500 WHERE remote_id = %s", [call["file"]]
    )
    rig.fetch()
    assert state(rig, call)[:2] == ("listed", "growing")
    sim.control("settle")
    rig.offset += timedelta(hours=25)
    rig.finish()
    assert state(rig, call)[0] == "stored"
    assert hashlib.sha256(rig.plaintext(call["file"])).hexdigest() != growing["sha256"]


def test_another_size_than_listed_is_taken_as_true_when_it_stays(rig: Rig, sim: Any) -> None:
    call = a_call(sim)
    rig.poll(trigger=False)
    rig.db.execute(
        "UPDATE recording SET listed_size = listed_size + 7 WHERE remote_id = %s", [call["file"]]
    )
    for attempt in range(4):
        rig.fetch()
        assert state(rig, call) == ("listed", "growing", attempt + 1)
        rig.offset += timedelta(hours=1)
    rig.fetch()
    assert state(rig, call)[0] == "stored"


def test_another_version_replaces_the_stored_one_and_the_audit_log_says_so(
    rig: Rig, sim: Any
) -> None:
    rig.finish()
    call = a_call(sim)
    before = set(rig.files())
    sim.control("relist", file=call["file"], longer_s=2)
    rig.offset += timedelta(hours=25)
    rig.finish()
    now = calls(sim)[call["file"]]
    assert now["sha256"] != call["sha256"]
    assert hashlib.sha256(rig.plaintext(call["file"])).hexdigest() == now["sha256"]
    assert len(before - set(rig.files())) == 1
    assert len(rig.files()) == len(before)
    assert rig.value("SELECT count(*) FROM audit WHERE action = 'recording.replaced'") == 1
    assert rig.rows("SELECT sum(calls), sum(bytes) FROM company_usage") == rig.rows(
        "SELECT count(*)::numeric, sum(file_size) FROM recording_audio"
    )


def test_the_same_bytes_listed_anew_leave_the_file_alone(rig: Rig, sim: Any) -> None:
    rig.finish()
    before = rig.files()
    rig.db.execute("UPDATE recording SET next_try_at = now()")
    rig.fetch()
    assert rig.files() == before
    assert rig.value("SELECT count(*) FROM audit") == 0
    assert rig.value("SELECT max(generation) FROM recording_audio") == 0
    assert rig.value("SELECT count(*) FROM recording WHERE next_try_at IS NOT NULL") == 0


def test_a_recording_that_the_pbx_dropped_is_gone_and_comes_back_when_it_does(
    rig: Rig, sim: Any, caplog: pytest.LogCaptureFixture
) -> None:
    call = a_call(sim)
    rig.poll(trigger=False)
    sim.control("drop", file=call["file"])
    rig.fetch()
    assert state(rig, call)[0] == "gone"
    assert "gone from the PBX" in caplog.text
    assert call["caller"] not in caplog.text


def test_a_listed_recording_that_can_not_be_downloaded_is_tried_again(rig: Rig, sim: Any) -> None:
    rig.poll(trigger=False)
    sim.control("misbehave", what="expired", share=1.0, on="download", seed=1)
    rig.fetch()
    assert set(rig.rows("SELECT state::text, waiting::text, attempts FROM recording")) == {
        ("listed", "not_available", 1)
    }
    sim.control("behave")
    rig.offset += timedelta(minutes=2)
    rig.fetch()
    assert set(rig.rows("SELECT state::text, waiting::text, attempts FROM recording")) == {
        ("stored", None, 2)
    }


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("html_200", "transfer"),
        ("truncated", "transfer"),
        ("zero_length", "transfer"),
        ("not_riff", "bad_media"),
        ("wrong_bytes", "bad_media"),
        ("header_only", "growing"),
        ("truncated_no_length", "growing"),
    ],
)
def test_bad_downloads_wait_with_a_reason_and_leave_no_file(
    rig: Rig, sim: Any, fault: str, reason: str
) -> None:
    rig.poll(trigger=False)
    rig.db.execute("UPDATE recording SET next_try_at = 'infinity' WHERE duration = 0")
    sim.control("misbehave", what=fault, share=1.0, on="download", seed=1)
    rig.fetch()
    reasons = rig.rows(
        "SELECT DISTINCT waiting::text, last_error IS NOT NULL FROM recording WHERE duration > 0"
    )
    assert reasons == [(reason, True)]
    assert rig.files() == []
    pauses = (
        rig.value("SELECT max(next_try_at) FROM recording WHERE next_try_at < 'infinity'")
        - rig.now()
    )
    assert timedelta(seconds=20) < pauses < timedelta(seconds=61)


def test_when_the_pbx_is_away_then_no_recording_is_blamed_and_the_pauses_grow(
    rig: Rig, sim: Any
) -> None:
    rig.poll(trigger=False)
    sim.stop()
    pauses = []
    for _ in range(4):
        rig.fetch()
        pauses.append((rig.value("SELECT retry_at FROM pbx_contact") - rig.now()).total_seconds())
        rig.offset += timedelta(minutes=6)
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8]
    assert rig.value("SELECT sum(attempts) FROM recording") == 0
    assert "no connection" in rig.value("SELECT error FROM pbx_contact")


def test_when_the_disk_is_full_then_recordings_wait_until_there_is_room(
    rig: Rig, sim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.poll(trigger=False)
    monkeypatch.setattr(Store, "free_bytes", lambda self: 0)
    rig.fetch()
    assert set(rig.rows("SELECT state::text, waiting::text, attempts FROM recording")) == {
        ("listed", "disk_full", 0)
    }
    monkeypatch.undo()
    rig.fetch()
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'stored'") == len(calls(sim))


def test_after_a_full_disk_archiving_goes_on_with_some_more_room_than_the_reserve(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.poll(trigger=False)
    reserve = rig.settings.reserve_mb << 20
    stored = "SELECT count(*) > 0 FROM recording WHERE state = 'stored'"
    for free, goes_on in ((reserve - 1, False), (reserve * 5 // 4 - 1, False), (reserve * 2, True)):
        monkeypatch.setattr(Store, "free_bytes", lambda _, free=free: free)
        rig.fetch()
        assert rig.value(stored) == goes_on, free


def test_what_met_a_full_disk_is_fetched_as_soon_as_there_is_room(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.poll(trigger=False)
    rig.db.execute("UPDATE recording SET waiting = 'disk_full', attempts = 9,"
                   " next_try_at = now() + interval '1 hour'")  # fmt: skip
    rig.db.execute("UPDATE recording SET next_try_at = now() WHERE remote_id ="
                   " (SELECT min(remote_id) FROM recording)")  # fmt: skip
    monkeypatch.setattr(Store, "free_bytes", lambda _: 0)
    rig.fetch()
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'stored'") == 0
    monkeypatch.undo()
    rig.fetch()
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'listed'") == 0


def test_when_the_database_s_disk_is_full_nothing_more_is_archived(rig: Rig) -> None:
    rig.poll(trigger=False)
    rig.db.execute("INSERT INTO disk VALUES ('database', '/x', 1000, 10, now())")
    rig.fetch()
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'stored'") == 0
    rig.db.execute("UPDATE disk SET seen_at = now() - interval '6 minutes'")  # who knows by now
    rig.fetch()
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'listed'") == 0


def test_a_disk_error_of_one_file_does_not_hold_up_the_others(
    rig: Rig, sim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.poll(trigger=False)
    blocked = rig.value("SELECT min(id) FROM company")
    (rig.root / str(blocked)).write_text("a file where a directory should be")
    rig.fetch()
    reasons = rig.rows(
        "SELECT DISTINCT company_id = %s, waiting::text FROM recording ORDER BY 1", blocked
    )
    assert reasons == [(False, None), (True, "disk_error")]
    assert not list((rig.root / ".incoming").rglob("*-*"))


def test_a_suspended_pbx_is_left_alone(rig: Rig, sim: Any) -> None:
    rig.poll(trigger=False)
    rig.db.execute("UPDATE pbx SET state = 'suspended'")
    before = sim.control("status")["requests"]
    rig.fetch()
    assert sim.control("status")["requests"] == before


def test_a_new_token_is_used_at_once(rig: Rig, sim: Any) -> None:
    rig.poll(trigger=False)
    rig.set_token("wrong")
    rig.fetch()
    assert "refuses the API token" in rig.value("SELECT error FROM pbx_contact")
    rig.set_token(client.KEY)
    rig.offset += timedelta(minutes=6)
    rig.fetch()
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'stored'") == len(calls(sim))
    assert rig.value("SELECT error FROM pbx_contact") is None


def test_what_a_killed_archiver_left_is_removed_at_its_next_start(rig: Rig) -> None:
    left = rig.root / ".incoming" / "1" / "unfinished"
    left.write_bytes(os.urandom(100))
    other = rig.root / ".incoming" / "2"
    other.mkdir()
    (other / "somebody else's").write_bytes(b"x")
    Archiver(rig.settings, rig.archiver._db, 1)
    assert [path.name for path in rig.files()] == ["somebody else's"]


def test_files_are_readable_for_their_group_and_nobody_else(rig: Rig) -> None:
    rig.finish()
    for path in rig.files():
        assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def test_paths_are_by_company_and_utc_day(rig: Rig) -> None:
    rig.finish()
    for path in rig.files():
        parts = path.relative_to(rig.root).parts
        assert len(parts) == 5
        started = rig.value(
            "SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY/MM/DD') FROM recording"
            " WHERE id = %s",
            Path(parts[-1]).stem,
        )
        assert "/".join(parts[1:4]) == started
