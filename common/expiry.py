"""What retention deletes: one query, which the preview sums up and the housekeeper works off.

A recording expires when it began earlier than its company's limit ago, and two days more. One that
is still to be fetched never does. What a legal hold covers expires and is kept.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection

KEEP_MONTHS = (0, 60, 24, 12, 6, 3)  # 0: for ever
MARGIN = timedelta(days=2)  # a clock that is a day ahead, or in a wrong zone, deletes nothing early

EXPIRING = (
    "SELECT r.id, r.started_at, coalesce(a.file_size, 0) AS bytes, EXISTS (SELECT FROM legal_hold h"
    " WHERE h.released_at IS NULL AND covers(h, r.company_id, r.started_at, t.caller, t.callee,"
    " t.parties)) AS held FROM recording r LEFT JOIN recording_audio a ON a.recording_id = r.id"
    " CROSS JOIN LATERAL (SELECT CASE WHEN c.texts THEN digits(r.caller) END AS caller,"
    " CASE WHEN c.texts THEN digits(r.callee) END AS callee,"
    " CASE WHEN c.texts THEN r.parties END AS parties"
    " FROM (SELECT (SELECT count(*) FROM legal_hold h WHERE h.released_at IS NULL"
    " AND (h.number IS NOT NULL OR h.party IS NOT NULL)"
    " AND (h.company_id IS NULL OR h.company_id = %(company)s)) > 0 AS texts) c OFFSET 0) t"
    " WHERE r.company_id = %(company)s AND r.started_at < %(cutoff)s AND r.state <> 'listed'"
)


def one_at_a_time(db: Connection) -> None:
    """Wait until nobody decides what is deleted, or changes what decides it; until the commit.

    Taken by whoever deletes, and by whoever adds a hold or changes a limit.
    """
    db.execute("SELECT pg_advisory_xact_lock(hashtext('callstash.deletion'))")


def cutoff(now: datetime, months: int) -> datetime:
    """Return the instant `months` calendar months before `now`, which is in UTC.

    A day that the month does not have is the end of it: three months before 31 May is the last
    instant of February. So a later `now` never gives an earlier instant.
    """
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    last = monthrange(year, month + 1)[1]
    if now.day <= last:
        return now.replace(year=year, month=month + 1)
    return now.replace(
        year=year, month=month + 1, day=last, hour=23, minute=59, second=59, microsecond=999999
    )


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


def preview(db: Connection, now: datetime, months: Mapping[int, int]) -> list[Expiring]:
    """Return what expires of companies that keep their recordings for so many months."""
    query = (
        "SELECT %(company)s::integer AS company_id, count(*) AS calls,"
        " coalesce(sum(bytes), 0)::bigint AS bytes, min(started_at) AS oldest,"
        " max(started_at) AS newest, count(*) FILTER (WHERE held) AS held_calls,"
        " coalesce(sum(bytes) FILTER (WHERE held), 0)::bigint AS held_bytes"
        f" FROM ({EXPIRING}) e HAVING count(*) > 0"
    )
    found: list[Expiring] = []
    with db.cursor(row_factory=class_row(Expiring)) as cursor:
        for company, limit in months.items():
            if limit:
                arguments = {"company": company, "cutoff": cutoff(now - MARGIN, limit)}
                found += cursor.execute(query, arguments).fetchall()
    return found


@dataclass(frozen=True)
class Due:
    """A recording to be deleted."""

    id: UUID
    started_at: datetime
    bytes: int


def due(
    db: Connection,
    now: datetime,
    company: int,
    months: int,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Due]:
    """Return recordings of a company to be deleted, the oldest first, beyond the key of a row."""
    if not months:
        return []
    beyond = "AND (started_at, id) > (%(started)s, %(id)s)" if after else ""
    query = (
        f"SELECT id, started_at, bytes FROM ({EXPIRING}) e WHERE NOT held {beyond}"
        " ORDER BY started_at, id LIMIT %(limit)s"
    )
    started, recording = after or (None, None)
    arguments = {
        "company": company, "cutoff": cutoff(now - MARGIN, months), "limit": limit,
        "started": started, "id": recording,
    }  # fmt: skip
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(query, arguments).fetchall()
