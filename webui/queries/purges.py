"""Deletions: what they did, and the permit for one that the brake stopped."""

from dataclasses import dataclass
from datetime import datetime

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Purge:
    """A deletion: what it was to delete of how much, and what it deleted."""

    id: int
    asked_by: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    archive_calls: int
    planned_calls: int
    planned_bytes: int
    held_calls: int
    deleted_calls: int
    deleted_bytes: int
    companies: int


_PURGE = (
    "SELECT id, asked_by, state::text, started_at, finished_at, archive_calls, planned_calls,"
    " planned_bytes, held_calls, deleted_calls, deleted_bytes, companies FROM purge"
)


def purges(db: Connection, before: int | None, limit: int) -> list[Purge]:
    """Return deletions, the last first, before one."""
    query = (
        f"{_PURGE} WHERE (%(before)s::bigint IS NULL OR id < %(before)s)"
        " ORDER BY id DESC LIMIT %(limit)s"
    )
    return rows(db, Purge, query, {"before": before, "limit": limit})


def braked(db: Connection) -> Purge | None:
    """Return the last deletion where the brake stopped it and nobody has permitted it since."""
    query = (
        f"{_PURGE} WHERE id = (SELECT max(id) FROM purge) AND state = 'braked'"
        " AND NOT EXISTS (SELECT FROM purge_permit WHERE granted_at > started_at)"
    )
    return next(iter(rows(db, Purge, query, [])), None)


def permit(db: Connection, calls: int, by: str) -> None:
    """Let one deletion of so many calls pass the brake."""
    db.execute(
        "INSERT INTO purge_permit (calls, granted_by) VALUES (%s, %s) ON CONFLICT (single)"
        " DO UPDATE SET calls = excluded.calls, granted_by = excluded.granted_by,"
        " granted_at = now()",
        [calls, by],
    )
