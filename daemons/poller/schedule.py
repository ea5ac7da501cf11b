"""When a PBX is polled next, and which window a poll asks for. Pure: the clock comes in."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from common import pbx

OVERLAP = timedelta(hours=2)
COMPLETE_EVERY = timedelta(days=1)
KEPT = pbx.KEPT + timedelta(days=1)
RETRY_MINUTES = (5, 10, 20, 40, 60)
DAILY = 1440


def first(now: datetime, minutes: int, at: time, zone: ZoneInfo) -> datetime:
    """Return when a PBX that has never been polled is polled: at the set time if daily, else at
    once.
    """
    return daily(now, at, zone) if minutes == DAILY else now


def following(now: datetime, minutes: int, at: time, zone: ZoneInfo) -> datetime:
    """Return when the poll after one that began `now` is due."""
    return daily(now, at, zone) if minutes == DAILY else now + timedelta(minutes=minutes)


def retry(now: datetime, due: datetime, failures: int) -> datetime:
    """Return when to try again after so many failed polls in a row: soon, never after `due`."""
    minutes = RETRY_MINUTES[min(max(failures, 1), len(RETRY_MINUTES)) - 1]
    return min(due, now + timedelta(minutes=minutes))


def daily(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """Return the next instant after `now` at which the clocks in `zone` show `at`.

    A time that the change to summer time skips is taken at the offset before it, one that
    comes twice in autumn is taken the first time.
    """
    day = now.astimezone(zone).date()
    while True:
        instant = datetime.combine(day, at, tzinfo=zone).astimezone(now.tzinfo)
        if instant > now:
            return instant
        day += timedelta(days=1)


def window(
    now: datetime, listed_until: datetime | None, complete_at: datetime | None
) -> tuple[datetime | None, bool]:
    """Return since when to list a company, None for everything, and whether that is complete.

    Between polls two hours overlap. Once a day all that a PBX still keeps is listed again, so that
    a recording which appeared late (a call of many hours, a PBX that was slow) is found in time.
    """
    if listed_until is None or complete_at is None:
        return None, True
    if now - complete_at >= COMPLETE_EVERY:
        return now - KEPT, True
    return min(listed_until, now) - OVERLAP, False
