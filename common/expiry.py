"""What retention deletes: one query, which the preview sums up and the housekeeper works off.

A recording expires when it began earlier than its company's limit ago. One that is still to be
fetched never does. What a legal hold covers expires and is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection

KEEP_MONTHS = (0, 60, 24, 12, 6, 3)  # 0: for ever

EXPIRING = (
    "SELECT r.id, r.company_id, r.started_at, coalesce(a.file_size, 0) AS bytes,"
    " EXISTS (SELECT FROM legal_hold h WHERE h.released_at IS NULL AND covers(h, r)) AS held"
    " FROM unnest(%(companies)s::integer[], %(cutoffs)s::timestamptz[]) AS l (company_id, cutoff)"
    " JOIN recording r ON r.company_id = l.company_id AND r.started_at < l.cutoff"
    " LEFT JOIN recording_audio a ON a.recording_id = r.id WHERE r.state <> 'listed'"
)


def cutoff(now: datetime, months: int) -> datetime:
    """Return the instant `months` calendar months before `now`, which is in UTC.

    A day that the month does not have is its last one: three months before 31 May is 28 February.
    """
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    for day in (now.day, 30, 29, 28):
        try:
            return now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError(now)


@dataclass(frozen=True)
class Expiring:
    """What expires of a company: recordings, bytes of files, and how much of that is on hold."""

    company_id: int
    calls: int
    bytes: int
    oldest: datetime
    newest: datetime
    held_calls: int
    held_bytes: int

    @property
    def deleted(self) -> int:
        """Return how many recordings are deleted: those that are not on hold."""
        return self.calls - self.held_calls


def _arguments(now: datetime, months: Mapping[int, int]) -> dict[str, object]:
    limited = {company: limit for company, limit in months.items() if limit}
    return {
        "companies": list(limited),
        "cutoffs": [cutoff(now, limit) for limit in limited.values()],
    }


def preview(db: Connection, now: datetime, months: Mapping[int, int]) -> list[Expiring]:
    """Return what expires of companies that keep their recordings for so many months."""
    query = (
        "SELECT company_id, count(*) AS calls, sum(bytes)::bigint AS bytes,"
        " min(started_at) AS oldest, max(started_at) AS newest,"
        " count(*) FILTER (WHERE held) AS held_calls,"
        " coalesce(sum(bytes) FILTER (WHERE held), 0)::bigint AS held_bytes"
        f" FROM ({EXPIRING}) e GROUP BY company_id ORDER BY company_id"
    )
    with db.cursor(row_factory=class_row(Expiring)) as cursor:
        return cursor.execute(query, _arguments(now, months)).fetchall()


@dataclass(frozen=True)
class Due:
    """A recording to be deleted."""

    id: UUID
    company_id: int
    started_at: datetime
    bytes: int


def due(
    db: Connection, now: datetime, months: Mapping[int, int], after: UUID | None, limit: int
) -> list[Due]:
    """Return recordings to be deleted, in the order of their ids, beyond the id `after`."""
    query = (
        f"SELECT id, company_id, started_at, bytes FROM ({EXPIRING}) e WHERE NOT held"
        " AND (%(after)s::uuid IS NULL OR id > %(after)s) ORDER BY id LIMIT %(limit)s"
    )
    arguments = {**_arguments(now, months), "after": after, "limit": limit}
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(query, arguments).fetchall()
