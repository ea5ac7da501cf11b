"""Byte ranges of HTTP (RFC 9110, section 14): which part of a recording a request wants."""

import re
from dataclasses import dataclass

_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)


@dataclass(frozen=True)
class Part:
    """Bytes `start` up to, not including, `stop`; `open_end` where the client set no last byte."""

    start: int
    stop: int
    open_end: bool = False


class NotSatisfiable(Exception):
    """No byte of the range exists (status 416)."""


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 20 else 10**19  # beyond any file


def wanted(header: str | None, size: int) -> Part | None:
    """Return the one range that a Range header asks for, None for the whole.

    What is malformed, in another unit or more than one range is ignored, as the RFC allows.
    """
    unit, equals, text = (header or "").partition("=")
    match = _RANGE.fullmatch(text.strip(" \t"))
    if unit.strip().lower() != "bytes" or not equals or match is None:
        return None
    first, last = match.groups()
    if not first + last:
        return None
    if not first:
        if _number(last) == 0 or size == 0:
            raise NotSatisfiable
        return Part(max(0, size - _number(last)), size)
    if last and _number(last) < _number(first):
        return None
    if _number(first) >= size:
        raise NotSatisfiable
    return Part(_number(first), min(_number(last) + 1, size) if last else size, not last)
