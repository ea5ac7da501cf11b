"""Rows as frozen dataclasses."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from psycopg.rows import class_row

from common.db import Connection

T = TypeVar("T")


def rows(
    db: Connection, kind: type[T], query: str, arguments: Sequence[Any] | Mapping[str, Any] = ()
) -> list[T]:
    """Run a query and return its rows as `kind`."""
    with db.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, arguments).fetchall()
