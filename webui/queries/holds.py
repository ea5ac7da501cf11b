"""Legal holds, and what they cover now."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows
from webui.queries.search import COLUMNS, Call

MOST, MOST_MATCHED = 100_000, 2_000  # covered recordings are counted up to here
RECORDING = (  # what `covers` wants to know of a recording r
    "r.company_id, r.started_at, digits(r.caller), digits(r.callee), r.parties"
)


@dataclass(frozen=True)
class Terms:
    """What a hold covers; None stands for any, `until` is not included."""

    company_id: int | None
    number: str | None
    party: str | None
    since: datetime | None
    until: datetime | None

    @property
    def most(self) -> int:
        """Return up to how many covered recordings are counted: texts are slower to compare."""
        return MOST if self.number is None and self.party is None else MOST_MATCHED


@dataclass(frozen=True)
class Hold:
    """A legal hold."""

    id: int
    name: str
    reason: str
    company_id: int | None
    company: str | None
    number: str | None
    party: str | None
    since: datetime | None
    until: datetime | None
    created_at: datetime
    created_by: str
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None

    @property
    def terms(self) -> Terms:
        """Return what it covers."""
        return Terms(self.company_id, self.number, self.party, self.since, self.until)


_HOLD = (
    "SELECT h.id, h.name, h.reason, h.company_id,"
    " coalesce(c.label, 'company ' || h.company_id || ', deleted') AS company, h.number, h.party,"
    " h.since, h.until, h.created_at, h.created_by, h.released_at, h.released_by, h.release_reason"
    " FROM legal_hold h LEFT JOIN company c ON c.id = h.company_id"
)


def active(db: Connection) -> list[Hold]:
    """Return the holds in force, the newest first."""
    return rows(db, Hold, f"{_HOLD} WHERE h.released_at IS NULL ORDER BY h.id DESC", [])


def released(db: Connection, limit: int) -> list[Hold]:
    """Return the holds that were released last."""
    query = f"{_HOLD} WHERE h.released_at IS NOT NULL ORDER BY h.released_at DESC LIMIT %s"
    return rows(db, Hold, query, [limit])


def hold(db: Connection, hold_id: int) -> Hold | None:
    """Return a hold."""
    return next(iter(rows(db, Hold, f"{_HOLD} WHERE h.id = %s", [hold_id])), None)


def of_recording(db: Connection, recording_id: UUID) -> list[Hold]:
    """Return the holds in force that cover a recording."""
    query = (
        f"{_HOLD} JOIN recording r ON covers(h, {RECORDING})"
        " WHERE h.released_at IS NULL AND r.id = %s"
    )
    return rows(db, Hold, query, [recording_id])


def add(db: Connection, name: str, reason: str, terms: Terms, by: str) -> int:
    """Insert a hold and return its id."""
    row = db.execute(
        "INSERT INTO legal_hold (name, reason, company_id, number, party, since, until, created_by)"
        " VALUES (%(name)s, %(reason)s, %(company_id)s, %(number)s, plain(%(party)s), %(since)s,"
        " %(until)s, %(by)s) RETURNING id",
        {**vars(terms), "name": name, "reason": reason, "by": by},
    ).fetchone()
    assert row is not None
    return int(row[0])


def release(db: Connection, hold_id: int, by: str, reason: str) -> bool:
    """Release a hold; false where it is released already."""
    query = (
        "UPDATE legal_hold SET released_at = now(), released_by = %s, release_reason = %s"
        " WHERE id = %s AND released_at IS NULL"
    )
    return db.execute(query, [by, reason, hold_id]).rowcount == 1


def _covered(terms: Terms) -> tuple[str, dict[str, Any]]:
    """Return a condition on recordings r: `covers`, and before it what an index can find."""
    arguments: dict[str, Any] = dict(vars(terms))
    found = ["true"]
    if terms.number is not None or terms.party is not None:  # of the others an index knows all
        found.append(
            "covers(ROW(0, 'x', 'x', %(company_id)s::integer, %(number)s, plain(%(party)s),"
            " %(since)s::timestamptz, %(until)s::timestamptz, now(), 'x', NULL, NULL, NULL)"
            f"::legal_hold, {RECORDING})"
        )
    if terms.company_id is not None:
        found.append("r.company_id = %(company_id)s")
    if terms.since is not None:
        found.append("r.started_at >= %(since)s")
    if terms.until is not None:
        found.append("r.started_at < %(until)s")
    if terms.number is not None:
        ending = terms.number[-7:] if len(terms.number) >= 7 else terms.number
        found.append(
            "(reverse(digits(r.caller)) LIKE %(ending)s OR reverse(digits(r.callee)) LIKE"
            " %(ending)s)"
        )
        arguments["ending"] = ending[::-1] + ("%" if len(terms.number) >= 7 else "")
    if terms.party is not None:
        escaped = terms.party.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        arguments["pattern"] = f"%{escaped}%"
        found.append("r.parties LIKE plain(%(pattern)s)")
    return " AND ".join(found), arguments


@dataclass(frozen=True)
class Covered:
    """What a hold covers; `calls` are counted up to `most` of its terms."""

    calls: int
    companies: int
    oldest: datetime | None
    newest: datetime | None


def covered(db: Connection, terms: Terms) -> Covered:
    """Return what a hold with these terms covers now."""
    condition, arguments = _covered(terms)
    query = (
        "SELECT count(*) AS calls, count(DISTINCT company_id) AS companies,"
        " min(started_at) AS oldest, max(started_at) AS newest FROM"
        f" (SELECT r.company_id, r.started_at FROM recording r WHERE {condition}"
        " LIMIT %(most)s) found"
    )
    return rows(db, Covered, query, {**arguments, "most": terms.most})[0]


def calls(
    db: Connection, terms: Terms, before: tuple[datetime, UUID] | None, limit: int
) -> list[Call]:
    """Return recordings that a hold with these terms covers, newest first."""
    condition, arguments = _covered(terms)
    older = "AND (r.started_at, r.id) < (%(start)s, %(id)s)" if before else ""
    start, recording = before or (None, None)
    query = (
        f"SELECT {COLUMNS} FROM recording r WHERE {condition} {older}"
        " ORDER BY r.started_at DESC, r.id DESC LIMIT %(limit)s"
    )
    return rows(db, Call, query, {**arguments, "start": start, "id": recording, "limit": limit})


def of_company(db: Connection, company_id: int) -> list[str]:
    """Return the names of the holds in force that cover a recording of a company."""
    names = []
    for hold in active(db):
        if hold.company_id in (None, company_id):
            condition, arguments = _covered(replace(hold.terms, company_id=company_id))
            query = f"SELECT EXISTS (SELECT FROM recording r WHERE {condition})"
            row = db.execute(query, arguments).fetchone()
            names += [hold.name] if row and row[0] else []
    return names
