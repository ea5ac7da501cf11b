"""Tables to take along: CSV that spreadsheets read, and in which nothing is taken for a formula."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

BEGIN = "\ufeff"  # tells spreadsheets that it is UTF-8


def cell(value: object) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        value = "; ".join(f"{name}: {item}" for name, item in value.items())
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def lines(cells: Iterable[Iterable[object]]) -> str:
    """Return rows of values as lines."""
    out = io.StringIO()
    csv.writer(out).writerows([cell(value) for value in row] for row in cells)
    return out.getvalue()
