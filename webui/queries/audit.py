"""The audit log, searched."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Deed:
    """A row of the audit log."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    address: str | None


@dataclass(frozen=True)
class Filter:
    """What is searched for; None stands for everything. `until` is not included."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


_CONDITIONS = {
    "actor": "actor = %(actor)s",
    "action": "action = %(action)s",
    "subject": "subject = %(subject)s",
    "address": "address = %(address)s::inet",
    "since": "at >= %(since)s",
    "until": "at < %(until)s",
    "text": "(subject || ' ' || detail::text) ILIKE %(pattern)s",
}


def destruction(db: Connection, deed_id: int) -> Deed | None:
    """Return the deed by which a company was deleted; None where it is another, or none."""
    query = (
        "SELECT id, at, actor, action, subject, detail, host(address) AS address FROM audit"
        " WHERE id = %s AND action = 'company.deleted' AND detail ? 'keys'"
    )
    return next(iter(rows(db, Deed, query, [deed_id])), None)


def deeds(
    db: Connection, wanted: Filter, before: tuple[datetime, int] | None, limit: int
) -> list[Deed]:
    """Return rows of the audit log, newest first, older than the key of a row."""
    arguments: dict[str, Any] = {**vars(wanted), "limit": limit}
    conditions = [text for name, text in _CONDITIONS.items() if arguments[name] is not None]
    if wanted.text is not None:
        escaped = wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        arguments["pattern"] = f"%{escaped}%"
    if before is not None:
        conditions.append("(at, id) < (%(before_at)s, %(before_id)s)")
        arguments["before_at"], arguments["before_id"] = before
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = (
        "SELECT id, at, actor, action, subject, detail, host(address) AS address FROM audit"
        f" {where} ORDER BY at DESC, id DESC LIMIT %(limit)s"
    )
    return rows(db, Deed, query, arguments)
