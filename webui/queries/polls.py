"""Polls, running and past, and what waits to be fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Poll:
    """A poll with the sums over its companies."""

    id: int
    pbx_id: int
    trigger: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    companies: int
    unasked: int
    polled: int
    new: int
    failed: int
    company_errors: int
    stored: int
    failed_attempts: int
    bytes: int
    last_at: datetime | None
    now: datetime


_POLL = (
    "SELECT p.id, p.pbx_id, p.trigger::text, p.state::text, p.started_at, p.finished_at, p.error,"
    " c.*, t.*, now() AS now FROM poll p"
    " CROSS JOIN LATERAL (SELECT count(*) AS companies,"
    " count(*) FILTER (WHERE polled IS NULL AND error IS NULL) AS unasked,"
    " coalesce(sum(polled), 0) AS polled, coalesce(sum(new), 0) AS new,"
    " coalesce(sum(failed), 0) AS failed, count(error) AS company_errors"
    " FROM poll_company WHERE poll_id = p.id) c"
    " CROSS JOIN LATERAL (SELECT coalesce(sum(stored), 0) AS stored,"
    " coalesce(sum(failed), 0) AS failed_attempts, coalesce(sum(bytes), 0)::bigint AS bytes,"
    " max(last_at) AS last_at FROM poll_tally WHERE poll_id = p.id) t"
)


def running_polls(db: Connection) -> list[Poll]:
    """Return the polls that have not finished."""
    return rows(db, Poll, f"{_POLL} WHERE p.finished_at IS NULL ORDER BY p.id", [])


def last_polls(db: Connection) -> list[Poll]:
    """Return the last finished poll of each PBX."""
    query = (
        f"{_POLL} WHERE p.id IN (SELECT (SELECT id FROM poll WHERE pbx_id = pbx.id"
        " AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1) FROM pbx)"
    )
    return rows(db, Poll, query, [])


def polls_of(db: Connection, pbx_id: int, before: int | None, limit: int) -> list[Poll]:
    """Return polls of a PBX, the newest first, older than one of them."""
    older = "AND p.id < %(before)s" if before is not None else ""
    query = f"{_POLL} WHERE p.pbx_id = %(pbx)s {older} ORDER BY p.id DESC LIMIT %(limit)s"
    return rows(db, Poll, query, {"pbx": pbx_id, "before": before, "limit": limit})


def poll(db: Connection, pbx_id: int, poll_id: int) -> Poll | None:
    """Return a poll of a PBX."""
    query = f"{_POLL} WHERE p.pbx_id = %s AND p.id = %s"
    return next(iter(rows(db, Poll, query, [pbx_id, poll_id])), None)


@dataclass(frozen=True)
class PollCompany:
    """What a poll found at a company."""

    poll_id: int
    company_id: int
    label: str
    polled: int | None
    new: int | None
    failed: int | None
    first_seen: bool
    reactivated: bool
    error: str | None


def poll_companies(db: Connection, polls: Sequence[int], limit: int) -> list[PollCompany]:
    """Return the companies of some polls, per poll the `limit` at which most happened."""
    query = (
        "SELECT poll_id, company_id, label, polled, new, failed, first_seen, reactivated, error"
        " FROM (SELECT pc.*, c.label, row_number() OVER (PARTITION BY pc.poll_id ORDER BY"
        " pc.error IS NULL, coalesce(pc.failed, 0) = 0, NOT pc.first_seen, NOT pc.reactivated,"
        " pc.new DESC NULLS LAST, c.label, c.id) AS place FROM poll_company pc"
        " JOIN company c ON c.id = pc.company_id WHERE pc.poll_id = ANY(%s)) ranked"
        " WHERE place <= %s ORDER BY poll_id, place"
    )
    return rows(db, PollCompany, query, [list(polls), limit])


def all_companies(db: Connection, poll_id: int, after: int | None, limit: int) -> list[PollCompany]:
    """Return the companies of a poll in the order of their labels, beyond one of them."""
    beyond = "AND (c.label, c.id) > (SELECT label, id FROM company WHERE id = %(after)s)"
    query = (
        "SELECT pc.poll_id, pc.company_id, c.label, pc.polled, pc.new, pc.failed, pc.first_seen,"
        " pc.reactivated, pc.error FROM poll_company pc JOIN company c ON c.id = pc.company_id"
        f" WHERE pc.poll_id = %(poll)s {beyond if after is not None else ''}"
        " ORDER BY c.label, c.id LIMIT %(limit)s"
    )
    return rows(db, PollCompany, query, {"poll": poll_id, "after": after, "limit": limit})


@dataclass(frozen=True)
class WaitingGroup:
    """How many recordings of a PBX wait for the same reason."""

    reason: str | None
    stored: bool
    recordings: int
    next_try_at: datetime


COUNTED = 2_000  # of what waits; a page that refreshes itself must not read 300,000 rows


def waiting_groups(db: Connection, pbx_id: int) -> list[WaitingGroup]:
    """Return the recordings of a PBX that have yet to be fetched, by reason; the next `COUNTED`."""
    query = (
        "SELECT waiting::text AS reason, state = 'stored' AS stored, count(*) AS recordings,"
        " min(next_try_at) AS next_try_at FROM (SELECT waiting, state, next_try_at FROM recording"
        " WHERE pbx_id = %s AND next_try_at IS NOT NULL ORDER BY next_try_at LIMIT %s) due"
        " GROUP BY 1, 2 ORDER BY 3 DESC"
    )
    return rows(db, WaitingGroup, query, [pbx_id, COUNTED])


@dataclass(frozen=True)
class Waiting:
    """A recording that has yet to be fetched."""

    id: UUID
    company_id: int
    label: str
    started_at: datetime
    caller: str
    callee: str
    reason: str | None
    stored: bool
    last_error: str | None
    attempts: int
    next_try_at: datetime


def waiting(
    db: Connection, pbx_id: int, after: tuple[datetime, datetime, UUID] | None, limit: int
) -> list[Waiting]:
    """Return recordings that have yet to be fetched, the next first, beyond the key of a row."""
    key = "(r.next_try_at, r.started_at, r.id)"
    beyond = f"AND {key} > (%(try)s, %(start)s, %(id)s)" if after else ""
    query = (
        "SELECT r.id, r.company_id, c.label, r.started_at, r.caller, r.callee,"
        " r.waiting::text AS reason, r.state = 'stored' AS stored, r.last_error, r.attempts,"
        " r.next_try_at FROM recording r JOIN company c ON c.id = r.company_id"
        " WHERE r.pbx_id = %(pbx)s AND r.next_try_at IS NOT NULL"
        f" {beyond}"
        " ORDER BY r.next_try_at, r.started_at, r.id LIMIT %(limit)s"
    )
    next_try, start, recording = after or (None, None, None)
    arguments = {"pbx": pbx_id, "try": next_try, "start": start, "id": recording, "limit": limit}
    return rows(db, Waiting, query, arguments)
