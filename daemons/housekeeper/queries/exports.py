"""SQL of the housekeeper: exports that the web UI sends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection
from common.leaving import Wanted

_EXPORT = (
    "SELECT id, company_id, since, until, part, asked_by, total, calls, bytes, key_ids, left_out,"
    " table_bytes, after_start, after_id FROM export"
)


@dataclass(frozen=True)
class Export:
    """An export that is being prepared."""

    id: UUID
    company_id: int
    since: datetime | None
    until: datetime | None
    part: str | None
    asked_by: str
    total: int
    calls: int
    bytes: int
    key_ids: list[str]
    left_out: list[dict[str, str]]
    table_bytes: int
    after_start: datetime | None
    after_id: UUID | None

    @property
    def wanted(self) -> Wanted:
        """Return which calls it is to hold."""
        return Wanted(self.since, self.until, self.part)


def company_is_there(db: Connection, company_id: int) -> bool:
    """Say whether there is a company."""
    return db.execute("SELECT 1 FROM company WHERE id = %s", [company_id]).fetchone() is not None


def same(db: Connection, company_id: int, wanted: Wanted) -> str | None:
    """Return the state of an export of the same calls that is prepared or ready."""
    row = db.execute(
        "SELECT state::text FROM export WHERE state IN ('preparing', 'ready')"
        " AND company_id = %s AND (since, until, part) IS NOT DISTINCT FROM"
        " (%s::timestamptz, %s::timestamptz, %s::text)",
        [company_id, wanted.since, wanted.until, wanted.text],
    ).fetchone()
    return row[0] if row else None


def begin(db: Connection, company_id: int, wanted: Wanted, by: str, total: int) -> UUID:
    """Insert an export and return its id."""
    row = db.execute(
        "INSERT INTO export (company_id, company, since, until, part, asked_by, total)"
        " SELECT id, label, %s, %s, %s, %s, %s FROM company WHERE id = %s RETURNING id",
        [wanted.since, wanted.until, wanted.text, by, total, company_id],
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def next_one(db: Connection) -> Export | None:
    """Return the export that is prepared first."""
    with db.cursor(row_factory=class_row(Export)) as cursor:
        return cursor.execute(
            f"{_EXPORT} WHERE state = 'preparing' ORDER BY asked_at, id LIMIT 1"
        ).fetchone()


def advance(db: Connection, one: Export, known: Mapping[str, Any]) -> None:
    """Note how far an export is."""
    db.execute(
        "UPDATE export SET calls = %(calls)s, bytes = %(bytes)s, key_ids = %(key_ids)s,"
        " left_out = %(left_out)s::jsonb, table_bytes = %(table_bytes)s,"
        " after_start = %(after_start)s, after_id = %(after_id)s WHERE id = %(export)s",
        {**known, "left_out": json.dumps(known["left_out"]), "export": one.id},
    )


def end(db: Connection, export: UUID, state: str, now: datetime, error: str | None = None) -> bool:
    """Note that an export is ready, or is over; say whether it was prepared or ready."""
    return bool(
        db.execute(
            "UPDATE export SET state = %s, ended_at = %s, error = %s"
            " WHERE id = %s AND state IN ('preparing', 'ready')",
            [state, now, error, export],
        ).rowcount
    )


def over(db: Connection, ready_before: datetime) -> list[UUID]:
    """Return exports that were ready before an instant, or whose company is deleted."""
    query = (
        "SELECT id FROM export e WHERE state IN ('preparing', 'ready') AND (state = 'ready'"
        " AND ended_at < %s OR NOT EXISTS (SELECT FROM company c WHERE c.id = e.company_id))"
    )
    return [UUID(str(row[0])) for row in db.execute(query, [ready_before])]


def kept(db: Connection) -> set[str]:
    """Return the ids of exports whose files are needed."""
    query = "SELECT id::text FROM export WHERE state IN ('preparing', 'ready')"
    return {row[0] for row in db.execute(query)}


def recipients(db: Connection) -> list[str]:
    """Return who is told by mail."""
    row = db.execute("SELECT recipients FROM general_settings").fetchone()
    return list(row[0]) if row else []
