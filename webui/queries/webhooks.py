"""Webhooks, which are told of alerts."""

from dataclasses import dataclass
from datetime import datetime

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Webhook:
    """A webhook, and how telling it went; nobody here can read its secret."""

    id: int
    url: str
    created_at: datetime
    created_by: str
    sent_at: datetime | None
    waiting: int
    error: str | None


def webhooks(db: Connection) -> list[Webhook]:
    """Return all webhooks."""
    query = (
        "SELECT w.id, w.url, w.created_at, w.created_by, max(d.sent_at) AS sent_at,"
        " count(d.next_try_at) AS waiting, (SELECT error FROM webhook_delivery e"
        " WHERE e.webhook_id = w.id ORDER BY created_at DESC LIMIT 1) AS error"
        " FROM webhook w LEFT JOIN webhook_delivery d ON d.webhook_id = w.id"
        " GROUP BY w.id ORDER BY w.id"
    )
    return rows(db, Webhook, query, [])


def add(db: Connection, url: str, secret_sealed: bytes, by: str) -> bool:
    """Insert a webhook; false where there is one with this address."""
    query = (
        "INSERT INTO webhook (url, secret_sealed, created_by) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING"
    )
    return db.execute(query, [url, secret_sealed, by]).rowcount == 1


def remove(db: Connection, number: int) -> str | None:
    """Delete a webhook with what it was to be told; return its address."""
    row = db.execute("DELETE FROM webhook WHERE id = %s RETURNING url", [number]).fetchone()
    return str(row[0]) if row else None
