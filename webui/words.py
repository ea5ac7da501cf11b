"""How figures, times and states read on a page."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from flask import Flask

from webui import deeds
from webui.policy import Policy
from webui.queries.polls import COUNTED
from webui.settings import shared

REASONS = {
    None: "in line to be fetched",
    "growing": "still being recorded, or written by the PBX",
    "disk_full": "the archive's disk is full",
    "disk_error": "the archive's disk reports errors",
    "not_available": "the PBX lists it but does not give it out",
    "bad_media": "what the PBX sent is not a recording",
    "transfer": "the download broke off",
}
STATES = {
    "active": "Active",
    "suspended": "Suspended",
    "delete_pending": "Delete pending",
    "listing": "Listing",
    "fetching": "Fetching",
    "finished": "Finished",
    "failed": "Failed",
    "listed": "Waiting",
    "stored": "Stored",
    "gone": "Gone from the PBX",
}
TRIGGERS = {
    "first": "first poll",
    "schedule": "scheduled",
    "request": "asked for",
    "retry": "another try",
}
DIRECTIONS = {"internal": "Internal", "inbound": "Inbound", "outbound": "Outbound", None: "Unknown"}
CODECS = {
    "pcm": "PCM",
    "pcm8": "PCM, 8 bits",
    "pcm24": "PCM, 24 bits",
    "pcm32": "PCM, 32 bits",
    "float32": "PCM, floating point",
    "alaw": "A-law (G.711)",
    "ulaw": "µ-law (G.711)",
    "gsm": "GSM 6.10",
    "mp3": "MP3",
}
PERIODS = {30: "every 30 minutes", 60: "every hour", 360: "every 6 hours"}


KEEP = {
    0: "Never delete recordings",
    60: "Older than 5 years",
    24: "Older than 2 years",
    12: "Older than 1 year",
    6: "Older than 6 months",
    3: "Older than 3 months",
}


def size(count: float) -> str:
    """Return bytes in the unit that reads best, such as 1.9 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            digits = 0 if unit == "bytes" or count >= 100 else 1
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def clock(seconds: float) -> str:
    """Return a length of time as 4:05 or 1:02:03."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Return a length of time in the largest unit that fits, such as 3 minutes."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"


def count(number: int, one: str, more: str | None = None) -> str:
    """Return a number with its noun: 1 call, 1,204 calls."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def instant(value: datetime | None, form: str = "%d %b %Y, %H:%M:%S") -> str:
    """Return an instant in the zone in which times are shown."""
    return shared().local(value).strftime(form).lstrip("0") if value else "never"


def moment(value: datetime | None) -> str:
    """Return an instant without its seconds."""
    return instant(value, "%d %b %Y, %H:%M")


def short(value: datetime) -> str:
    """Return an instant of these weeks, without its year."""
    return instant(value, "%d %b, %H:%M:%S")


def time_of(value: datetime) -> str:
    """Return the time of day of an instant."""
    return shared().local(value).strftime("%H:%M:%S")


def day_of(value: datetime) -> str:
    """Return the day of an instant, such as Monday, 23 November 2026."""
    local = shared().local(value)
    return f"{local:%A}, {local.day} {local:%B %Y}"


def groupby_day(calls: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Return calls, which are in order of time, by the day on which they started."""
    for day, group in groupby(calls, key=lambda call: day_of(call.started_at)):
        yield day, list(group)


def period(pbx: Any) -> str:
    """Return how often a PBX is polled."""
    return PERIODS.get(pbx.poll_minutes) or f"every day at {pbx.poll_at:%H:%M}"


def left(poll: Any) -> str | None:
    """Return how much longer a running poll takes at its pace so far; None while nobody can say."""
    spent: timedelta = poll.now - poll.started_at
    remaining = poll.new - poll.stored
    if poll.state != "fetching" or poll.stored < 5 or remaining <= 0:
        return None
    return span(max(1.0, spent.total_seconds() / poll.stored * remaining))


def rate(poll: Any) -> str | None:
    """Return the pace of a running poll, such as 41 recordings a second, 12 MB/s."""
    seconds = (poll.now - poll.started_at).total_seconds()
    if not poll.stored or seconds < 1:
        return None
    pace = poll.stored / seconds
    often = f"{pace:.0f} a second" if pace >= 1 else f"{pace * 60:.0f} a minute"
    return f"{often}, {size(poll.bytes / seconds)}/s"


_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrom", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser(agent: str) -> str:
    """Return what a User-Agent header says in words, such as Firefox on Linux."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "a browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{name} on {system}" if system else name


def day(value: date) -> str:
    """Return a date, such as 4 May 2026."""
    return f"{value.day} {value:%b %Y}"


def register(app: Flask) -> None:
    """Give the templates these words."""
    for function in (
        size,
        clock,
        span,
        count,
        instant,
        moment,
        short,
        time_of,
        day_of,
        groupby_day,
        browser,
        day,
    ):
        app.add_template_filter(function)
    app.add_template_filter(deeds.words, "deed")
    app.add_template_filter(deeds.page, "deed_page")
    app.add_template_filter(lambda text: str(text).partition("://")[2] or text, "host")
    app.jinja_env.globals.update(
        reasons=REASONS, states=STATES, triggers=TRIGGERS, directions=DIRECTIONS, codecs=CODECS,
        keep_words=KEEP.get, period=period, left=left, rate=rate, Policy=Policy, COUNTED=COUNTED,
    )  # fmt: skip
