"""When polls are due, through clock changes, and which window they ask for."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from daemons.poller import schedule

LONDON = ZoneInfo("Europe/London")
instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
zones = st.sampled_from(["UTC", "Europe/London", "America/St_Johns", "Australia/Lord_Howe"])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def test_a_daily_pbx_is_first_polled_at_its_time_and_any_other_at_once() -> None:
    now = at("2026-01-10T12:00")
    assert schedule.first(now, 1440, time(3), LONDON) == at("2026-01-11T03:00")
    assert schedule.first(now, 30, time(3), LONDON) == now


def test_a_daily_poll_follows_the_clocks_of_its_zone() -> None:
    assert schedule.daily(at("2026-03-28T04:00"), time(3), LONDON) == at("2026-03-29T02:00")
    assert schedule.daily(at("2026-10-24T03:00"), time(3), LONDON) == at("2026-10-25T03:00")


def test_a_time_that_comes_twice_is_taken_once() -> None:
    first = schedule.daily(at("2026-10-24T12:00"), time(1, 30), LONDON)
    assert first == at("2026-10-25T00:30")
    assert schedule.daily(first, time(1, 30), LONDON) == at("2026-10-26T01:30")


@given(instants, times, zones)
def test_daily_polls_are_never_more_than_a_day_and_a_clock_change_apart(
    now: datetime, clock: time, zone: str
) -> None:
    due = schedule.daily(now, clock, ZoneInfo(zone))
    assert now < due <= now + timedelta(hours=25)


def test_a_failed_poll_is_retried_soon_and_never_after_the_next_one() -> None:
    now = at("2026-01-10T12:00")
    pauses = [schedule.retry(now, now + timedelta(days=1), n) - now for n in range(1, 8)]
    assert [pause.seconds // 60 for pause in pauses] == [5, 10, 20, 40, 60, 60, 60]
    assert schedule.retry(now, now + timedelta(minutes=3), 5) == now + timedelta(minutes=3)


def test_a_company_that_was_never_listed_is_asked_for_everything() -> None:
    assert schedule.window(at("2026-01-10T12:00"), None, None) == (None, True)


def test_later_polls_overlap_by_two_hours() -> None:
    now = at("2026-01-10T12:00")
    window = schedule.window(now, at("2026-01-10T11:30"), at("2026-01-10T00:00"))
    assert window == (at("2026-01-10T09:30"), False)


def test_once_a_day_everything_that_the_pbx_keeps_is_listed_again() -> None:
    now = at("2026-01-10T12:00")
    since, complete = schedule.window(now, at("2026-01-10T11:30"), at("2026-01-09T12:00"))
    assert complete
    assert since is not None
    assert now - since > timedelta(days=21)


@given(instants, instants, instants)
def test_a_window_never_begins_after_what_is_listed(
    now: datetime, until: datetime, complete: datetime
) -> None:
    since, whole = schedule.window(now, until, complete)
    assert since is not None
    assert whole or since <= until - schedule.OVERLAP
    assert since < now
