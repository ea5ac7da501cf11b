"""Exports that the housekeeper prepares: those of a company, newest first."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows

SHOWN = 20


@dataclass(frozen=True)
class Export:
    """An export."""

    id: UUID
    company_id: int
    since: datetime | None
    until: datetime | None
    part: str | None
    asked_by: str
    asked_at: datetime
    state: str
    total: int
    calls: int
    bytes: int
    left_out: list[dict[str, str]]
    ended_at: datetime | None
    error: str | None


_EXPORT = (
    "SELECT id, company_id, since, until, part, asked_by, asked_at, state::text, total, calls,"
    " bytes, left_out, ended_at, error FROM export"
)


def of_company(db: Connection, company_id: int) -> list[Export]:
    """Return the newest exports of a company."""
    query = f"{_EXPORT} WHERE company_id = %s ORDER BY asked_at DESC, id LIMIT %s"
    return rows(db, Export, query, [company_id, SHOWN])


def ready(db: Connection, company_id: int, export: UUID) -> Export | None:
    """Return an export that can be fetched."""
    query = f"{_EXPORT} WHERE id = %s AND company_id = %s AND state = 'ready'"
    return next(iter(rows(db, Export, query, [export, company_id])), None)
