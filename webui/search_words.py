"""What somebody means by the words in the search box: numbers, names, and days or months.

A number may be written in any way and with any prefix: of a long one the last nine digits count.
"""

import re
from calendar import day_name, month_name
from dataclasses import dataclass
from datetime import date, timedelta

SHORTEST = 3  # letters or digits: with fewer nothing is found in good time
_SAME = 9  # digits that +44…, 0044… and 0… have in common
_LONG = 10
_DIGITS = re.compile(r"[+(]?[\d()./-]*\d[\d()./-]*")
_PART = re.compile(r"[\d()./-]+")
_ISO = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?")
_LOCAL = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})")
_MONTHS = {name.lower(): number for number, name in enumerate(month_name) if name}
_MONTHS |= {name[:3]: number for name, number in _MONTHS.items()}
_WEEKDAYS = {name.lower(): number for number, name in enumerate(day_name)}


@dataclass(frozen=True)
class Meant:
    """Texts that a call has all of, and the days from `since` up to, not including, `until`."""

    texts: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    problem: str = ""


def meant(words: str, today: date) -> Meant:
    """Return what somebody means who types this today; `problem` is what they should change."""
    tokens, texts, days = words.split(), [], []
    while tokens:
        try:
            period = _period(tokens, today)
        except (ValueError, OverflowError):
            return Meant(problem=f"“{tokens[0]}” is not a day. Enter one such as {today}.")
        if period:
            used, begin, end = period
            days.append((begin, end))
        else:
            used, text = _text(tokens)
            texts.append(text)
        del tokens[:used]
    if short := next((text for text in texts if len(text) < SHORTEST), None):
        return Meant(problem=f"“{short}” is too short: enter at least three letters or digits.")
    return Meant(
        tuple(texts),
        max((begin for begin, _ in days), default=None),
        min((end for _, end in days), default=None),
    )


def _text(tokens: list[str]) -> tuple[int, str]:
    """Return how many words are one text, and that text."""
    if not _DIGITS.fullmatch(tokens[0]):
        return 1, tokens[0]
    used = 1
    if tokens[0][0] in "+(0":  # such a number is often written with spaces
        while used < len(tokens) and _PART.fullmatch(tokens[used]):
            used += 1
    digits = re.sub(r"\D", "", "".join(tokens[:used]).replace("(0)", ""))
    return used, digits[-_SAME:] if len(digits) >= _LONG else digits


def _period(tokens: list[str], today: date) -> tuple[int, date, date] | None:
    """Return how many words are a day or month, its first day, and the day after it."""
    word, rest = tokens[0].lower().strip(","), [token.lower().strip(",") for token in tokens[1:3]]
    if match := _ISO.fullmatch(word):
        year, month, day = match.groups()
        return 1, *(_day(year, month, day) if day else _month(year, month))
    if match := _LOCAL.fullmatch(word):
        return 1, *_day(match[4], match[3], match[1])
    if word in ("today", "yesterday"):
        begin = today - timedelta(days=word == "yesterday")
        return 1, begin, begin + timedelta(days=1)
    if word == "last" and rest and rest[0] in _WEEKDAYS:
        return 2, *_weekday(rest[0], today)
    if word in _WEEKDAYS:
        return 1, *_weekday(word, today)
    if word in _MONTHS and rest and _is_year(rest[0]):
        return 2, *_month(rest[0], _MONTHS[word])
    if word.isdigit() and len(word) < 3 and len(rest) == 2 and rest[0] in _MONTHS:
        return (3, *_day(rest[1], _MONTHS[rest[0]], word)) if _is_year(rest[1]) else None
    return None


def _is_year(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) == 4


def _day(year: str, month: str | int, day: str) -> tuple[date, date]:
    begin = date(int(year), int(month), int(day))
    return begin, begin + timedelta(days=1)


def _month(year: str, month: str | int) -> tuple[date, date]:
    begin = date(int(year), int(month), 1)
    return begin, (begin + timedelta(days=31)).replace(day=1)


def _weekday(name: str, today: date) -> tuple[date, date]:
    """Return the last such day before today."""
    begin = today - timedelta(days=(today.weekday() - _WEEKDAYS[name] - 1) % 7 + 1)
    return begin, begin + timedelta(days=1)
