"""The time zone in which a daemon keeps its times of day."""

from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo


def zone(name: str) -> ZoneInfo:
    """Return a zone by its IANA name, this machine's where it has none."""
    if name:
        return ZoneInfo(name)
    with Path("/etc/localtime").open("rb") as file:
        return ZoneInfo.from_file(file, key="localtime")


def latest(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """Return the last instant up to now at which the clocks in a zone showed a time of day.

    A time that the change to summer time skips is taken at the offset before it.
    """
    day = now.astimezone(zone).date() + timedelta(days=1)
    while True:
        instant = datetime.combine(day, at, tzinfo=zone).astimezone(now.tzinfo)
        if instant <= now:
            return instant
        day -= timedelta(days=1)
