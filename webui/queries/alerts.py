"""What needs a person, as the notifier saw it."""

from dataclasses import dataclass
from datetime import datetime

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Alert:
    """A condition that needs a person, or did."""

    id: int
    kind: str
    subject: str
    is_critical: bool
    title: str
    body: str
    raised_at: datetime
    ended_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    told_at: datetime | None


_ALERT = (
    "SELECT id, kind, subject, is_critical, title, body, raised_at, ended_at, acknowledged_at,"
    " acknowledged_by, told_at FROM alert"
)


def unended(db: Connection) -> list[Alert]:
    """Return what needs a person now, the most urgent first."""
    query = (
        f"{_ALERT} WHERE ended_at IS NULL"
        " ORDER BY acknowledged_at IS NOT NULL, NOT is_critical, raised_at DESC, id"
    )
    return rows(db, Alert, query, [])


def ended(db: Connection, before: tuple[datetime, int] | None, limit: int) -> list[Alert]:
    """Return what is over, the last first, before one."""
    at, number = before or (None, None)
    query = (
        f"{_ALERT} WHERE ended_at IS NOT NULL AND (%(at)s::timestamptz IS NULL"
        " OR (ended_at, id) < (%(at)s, %(id)s)) ORDER BY ended_at DESC, id DESC LIMIT %(limit)s"
    )
    return rows(db, Alert, query, {"at": at, "id": number, "limit": limit})


def acknowledge(db: Connection, alert: int, by: str) -> Alert | None:
    """Note that somebody has seen it; None where it is over, or somebody had."""
    query = (
        "UPDATE alert SET acknowledged_at = now(), acknowledged_by = %s WHERE id = %s"
        " AND ended_at IS NULL AND acknowledged_at IS NULL RETURNING "
        + _ALERT.removeprefix("SELECT ").removesuffix(" FROM alert")
    )
    return next(iter(rows(db, Alert, query, [by, alert])), None)


def exists(db: Connection, alert: int) -> bool:
    """Say whether there ever was this alert."""
    return db.execute("SELECT 1 FROM alert WHERE id = %s", [alert]).fetchone() is not None
