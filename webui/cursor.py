"""Where a page of a long list begins: the key of the row before it, in the URL."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import abort, request

_READ: dict[type[Any], Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    UUID: UUID,
    int: int,
}


def write(row: object, *fields: str) -> str:
    """Return the key of a row."""
    values = (getattr(row, field) for field in fields)
    return "~".join(
        value.isoformat() if isinstance(value, datetime) else str(value) for value in values
    )


def read(name: str, *kinds: type[Any]) -> tuple[Any, ...] | None:
    """Return the key in the URL, None where it has none; status 400 where it is not one."""
    text = request.args.get(name)
    if text is None:
        return None
    parts = text.split("~")
    try:
        key = tuple(_READ[kind](part) for kind, part in zip(kinds, parts, strict=True))
    except ValueError:
        abort(400)
    if any(isinstance(value, datetime) and value.tzinfo is None for value in key):
        abort(400)
    return key
