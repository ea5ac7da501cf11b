"""SQL: webhooks, and what they are told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Due:
    """What a webhook is to be told now; `attempts` counts this one."""

    id: UUID
    url: str
    secret_sealed: bytes
    body: str
    created_at: datetime
    attempts: int


def put(db: Connection, body: Mapping[str, object], now: datetime) -> None:
    """Have all webhooks told something."""
    db.execute(
        "INSERT INTO webhook_delivery (webhook_id, body, created_at, next_try_at)"
        " SELECT id, %(body)s, %(now)s, %(now)s FROM webhook",
        {"body": json.dumps(dict(body)), "now": now},
    )


def claim(db: Connection, now: datetime, first: timedelta, longest: timedelta) -> Due | None:
    """Claim what is due first: it is due again later, should this try never end."""
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            "UPDATE webhook_delivery d SET attempts = attempts + 1, next_try_at = %(now)s"
            " + least(%(longest)s::interval, %(first)s::interval * (2 ^ least(attempts, 20)))"
            " FROM webhook w WHERE w.id = d.webhook_id AND d.id = (SELECT id FROM webhook_delivery"
            " WHERE next_try_at <= %(now)s ORDER BY next_try_at, created_at LIMIT 1"
            " FOR UPDATE SKIP LOCKED)"
            " RETURNING d.id, w.url, w.secret_sealed, d.body, d.created_at, d.attempts",
            {"now": now, "first": first, "longest": longest},
        ).fetchone()


def sent(db: Connection, delivery: UUID, now: datetime) -> None:
    """Note that a webhook took it."""
    db.execute(
        "UPDATE webhook_delivery SET sent_at = %s, next_try_at = NULL, error = NULL WHERE id = %s",
        [now, delivery],
    )


def failed(db: Connection, delivery: UUID, error: str, *, is_final: bool) -> None:
    """Note why a webhook did not take it."""
    db.execute(
        "UPDATE webhook_delivery SET error = %s,"
        " next_try_at = CASE WHEN %s THEN NULL ELSE next_try_at END WHERE id = %s",
        [error, is_final, delivery],
    )


def webhook(db: Connection, number: int) -> tuple[str, bytes] | None:
    """Return the address of a webhook and its sealed secret."""
    row = db.execute("SELECT url, secret_sealed FROM webhook WHERE id = %s", [number]).fetchone()
    return (str(row[0]), bytes(row[1])) if row else None


def forget(db: Connection, before: datetime) -> None:
    """Delete what was told, or given up, long ago."""
    db.execute(
        "DELETE FROM webhook_delivery WHERE next_try_at IS NULL AND created_at < %s", [before]
    )
