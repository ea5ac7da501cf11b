"""Sweeps, scrubs, and the damage that they found."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Inspection:
    """A sweep or a scrub; `share` is how much of the archive the running scrub has read."""

    kind: str
    started_at: datetime
    finished_at: datetime | None
    files: int
    bytes: int
    found: int
    share: float


def last(db: Connection) -> list[Inspection]:
    """Return the running and the last finished sweep and scrub."""
    query = (
        "SELECT DISTINCT ON (kind, finished_at IS NULL) kind::text, started_at, finished_at,"
        " files, bytes, found, least(1, bytes / greatest(1, (SELECT sum(bytes) FROM"
        " company_usage)))::float8 AS share FROM inspection"
        " ORDER BY kind, finished_at IS NULL DESC, id DESC"
    )
    return rows(db, Inspection, query, [])


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was stored, or that nobody knows."""

    id: int
    path: str
    kind: str
    recording_id: UUID | None
    found_at: datetime
    asked_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None


_DAMAGE = (
    "SELECT id, path, kind::text, recording_id, found_at, asked_at, ended_at, ended_by::text"
    " FROM damage"
)


def damages(db: Connection, limit: int) -> list[Damage]:
    """Return what is damaged now."""
    query = f"{_DAMAGE} WHERE ended_at IS NULL ORDER BY kind, id LIMIT %s"
    return rows(db, Damage, query, [limit])


def repaired(db: Connection, limit: int) -> list[Damage]:
    """Return what was damaged, the last first."""
    query = f"{_DAMAGE} WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT %s"
    return rows(db, Damage, query, [limit])


def counts(db: Connection) -> dict[str, int]:
    """Return how much is damaged now by kind, and how much was repaired."""
    query = (
        "SELECT kind::text, count(*) FROM damage WHERE ended_at IS NULL GROUP BY kind"
        " UNION ALL SELECT 'repaired', count(*) FROM damage"
        " WHERE ended_by IN ('fetched', 'backup', 'found')"
    )
    return {str(row[0]): int(row[1]) for row in db.execute(query)}


def damage(db: Connection, recording: UUID) -> Damage | None:
    """Return what is wrong with the file of a recording now."""
    query = f"{_DAMAGE} WHERE recording_id = %s AND ended_at IS NULL"
    return next(iter(rows(db, Damage, query, [recording])), None)
