"""The calendar buckets of an IPCortex listing, also where the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.pbx import ipcortex

ZONES = ["Europe/London", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]


def key(instant: datetime, zone: ZoneInfo, hourly: bool) -> tuple[int, ...]:
    local = instant.astimezone(zone)
    whole = (local.year, local.month, local.day, local.hour)
    return whole if hourly else whole[:3]


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 72 * 60),
    st.floats(0, 1),
    st.sampled_from(ZONES),
)
def test_every_instant_of_a_window_is_in_a_bucket(
    since: datetime, minutes: int, where: float, zone: str
) -> None:
    until = since + timedelta(minutes=minutes)
    instant = since + where * (until - since)
    buckets = [tuple(b.values()) for b in ipcortex._buckets(since, until, ZoneInfo(zone))]
    hourly = len(buckets[0]) == 4
    assert hourly is (minutes < 24 * 60)
    assert key(instant, ZoneInfo(zone), hourly) in buckets
    assert len(set(buckets)) == len(buckets)
    assert len(buckets) <= (27 if hourly else 6)


def test_the_hour_that_comes_twice_is_asked_for_once() -> None:
    since = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    buckets = ipcortex._buckets(since, since + timedelta(hours=2), ZoneInfo("Europe/London"))
    assert [bucket["hours"] for bucket in buckets] == [1, 2]


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"file": "a\0b", "start": 1465997840, "duration": 1},
        {"file": "a\nb", "start": 1465997840, "duration": 1},
        {"file": "\ud800", "start": 1465997840, "duration": 1},
        {"file": "x" * 5000, "start": 1465997840, "duration": 1},
        {"file": "", "start": 1465997840, "duration": 1},
        {"file": 7, "start": 1465997840, "duration": 1},
        {"file": "a", "start": "soon", "duration": 1},
        {"file": "a", "start": True, "duration": 1},
        {"file": "a", "start": float("nan"), "duration": 1},
        {"file": "a", "start": -5, "duration": 1},
        {"file": "a", "start": 1465997840, "duration": -1},
        {"file": "a", "start": 1465997840, "duration": None},
        {"file": "a", "start": 1465997840},
        {"file": "a", "start": 1465997840, "duration": 1, "size": -1},
        {"file": "a", "start": 1465997840, "duration": 1, "size": "big"},
        {"file": "a", "start": 1465997840, "duration": 1, "size": 1 << 60},
    ],
)
def test_a_row_that_can_not_be_a_recording_is_refused(row: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        ipcortex._recording(row)


def test_numbers_may_come_as_text_and_parties_as_anything() -> None:
    row = {
        "file": "../a.wav",
        "start": "1465997840",
        "duration": "6",
        "caller": 239,
        "callee": None,
    }
    recording = ipcortex._recording(row)
    assert recording.remote_id == "../a.wav"
    assert recording.started_at == datetime(2016, 6, 15, 13, 37, 20, tzinfo=UTC)
    assert (recording.duration, recording.caller, recording.callee) == (6, "239", "")
    assert recording.size is None
