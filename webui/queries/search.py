"""Finding calls among millions, newest first, within what somebody may find.

What is common is found among the newest calls, what is rare by the index on the parties; so a
search first looks through some of the newest, and asks the index only where those were too few.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows
from webui.scope import Scope

LOOKED = 4000  # newest calls that are looked through, before the index is asked
MOST_LOOKED = 32_000  # beyond it the index is faster
MANY = 50  # companies from which on all calls are looked through instead of each company's
LOOKED_OWN = 1000  # one's own lie far apart on the disk
Key = tuple[datetime, UUID]

COLUMNS = (
    "r.id, r.company_id, r.state, r.started_at, r.duration, r.caller, r.caller_name, r.callee,"
    " r.callee_name, r.direction"
)


@dataclass(frozen=True)
class Wanted:
    """What is searched for: texts of the parties, times (`until` is not included), seconds."""

    texts: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    direction: str | None = None
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True)
class Call:
    """A call that was found."""

    id: UUID
    company_id: int
    state: str
    started_at: datetime
    duration: int
    caller: str
    caller_name: str
    callee: str
    callee_name: str
    direction: str | None


@dataclass(frozen=True)
class Found:
    """Calls in their order, and how many there are in all: `total`, or more where not `exact`."""

    calls: list[Call]
    total: int
    exact: bool


@dataclass(frozen=True)
class _Row(Call):
    total: int
    horizon: datetime | None


def search(
    db: Connection, scope: Scope, wanted: Wanted, key: Key | None, limit: int, newer: bool = False
) -> Found:
    """Return calls beyond the key of one: older ones, newest first, or newer ones, oldest first."""
    query = _Query(db, scope, wanted, key, limit, newer)
    if not query.sources:
        return Found([], 0, True)
    looked = LOOKED_OWN if scope.user_id is not None else LOOKED
    each = limit + 1 if not query.filtered else max(limit + 1, looked // query.sources)
    found, complete = query.look(each)
    while not complete and len(found.calls) < limit:
        if not query.filtered:
            each *= 4  # many calls began in the very same second
        elif not (query.of_all and found.calls):
            return query.ask_index()
        else:  # as many as have enough of what these have some of
            each = 4 * each * limit // (3 * len(found.calls))
            if each >= MOST_LOOKED:
                return query.ask_index()
        found, complete = query.look(each)
    return found


class _Query:
    """The parts of the statements of one search."""

    def __init__(
        self, db: Connection, scope: Scope, wanted: Wanted, key: Key | None, limit: int, newer: bool
    ) -> None:
        self._db = db
        self._scope = scope
        self._way, self._past, self._end = ("ASC", ">", "max") if newer else ("DESC", "<", "min")
        self._arguments: dict[str, Any] = {**vars(wanted), **scope.arguments, "limit": limit}
        self._arguments["start"], self._arguments["id"] = key or (None, None)
        bounds = ["true"]
        if key:
            bounds.append(f"({{0}}, {{1}}) {self._past} (%(start)s, %(id)s)")
        if wanted.since:
            bounds.append("{0} >= %(since)s")
        if wanted.until:
            bounds.append("{0} < %(until)s")
        self._bounds = " AND ".join(bounds)
        filters = []
        for number, text in enumerate(wanted.texts):
            escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            self._arguments[f"text{number}"] = f"%{escaped}%"
            filters.append(f"r.parties LIKE plain(%(text{number})s)")
        if wanted.direction:
            filters.append("r.direction = %(direction)s::call_direction")
        if wanted.shortest is not None:
            filters.append("r.duration >= %(shortest)s")
        if wanted.longest is not None:
            filters.append("r.duration <= %(longest)s")
        self.filtered = bool(filters)
        self.of_all = scope.everything or (self.filtered and len(scope.companies) > MANY)
        self._filter = " AND ".join(filters or ["true"])
        self._company = "true"
        if len(scope.companies) == 1:
            self._arguments["company"] = scope.companies[0]
            self._company = "r.company_id = %(company)s::integer"  # GIN takes no other type
        elif not scope.everything:  # with + 0 no index is used: GIN would look up one by one
            column = "r.company_id + 0" if self.of_all else "r.company_id"
            self._company = f"{column} = ANY(%(companies)s::integer[])"
        self.sources = (1 if self.of_all else len(scope.companies)) + (scope.user_id is not None)

    def look(self, each: int) -> tuple[Found, bool]:
        """Look through the newest calls of each source; true where those are all that there are."""
        self._arguments["each"] = each
        query = (
            f"WITH newest AS ({' UNION ALL '.join(self._newest())}), horizon AS ("
            f"SELECT {'min' if self._way == 'ASC' else 'max'}(last) AS at FROM ("
            f"SELECT {self._end}(started_at) AS last FROM newest"
            " GROUP BY source HAVING count(*) >= %(each)s) cut),"
            f" found AS (SELECT {COLUMNS} FROM newest r, horizon WHERE {self._filter}"
            f" AND (r.source = 0 OR {self._company})"
            f" AND (horizon.at IS NULL OR horizon.at {self._past} r.started_at))"
            " SELECT f.*, (SELECT count(*) FROM found) AS total, horizon.at AS horizon"
            " FROM horizon LEFT JOIN (SELECT * FROM found"
            f" ORDER BY started_at {self._way}, id {self._way} LIMIT %(limit)s) f ON true"
            f" ORDER BY f.started_at {self._way}, f.id {self._way}"
        )
        found = rows(self._db, _Row, query, self._arguments)
        complete = found[0].horizon is None
        calls: list[Call] = [row for row in found if row.id is not None]
        return Found(calls, found[0].total, complete), complete

    def _newest(self) -> Iterator[str]:
        columns, order = f"{COLUMNS}, r.parties", f"ORDER BY {{0}} {self._way}, {{1}} {self._way}"
        times = ("r.started_at", "r.id")
        of_company = (
            f"SELECT {columns} FROM recording r WHERE {{company}}{self._bounds.format(*times)}"
            f" {order.format(*times)} LIMIT %(each)s"
        )
        if self.of_all:
            yield f"SELECT 1 AS source, r.* FROM ({of_company.format(company='')}) r"
        elif self._scope.companies:
            yield (
                "SELECT c.id AS source, r.* FROM unnest(%(companies)s::integer[]) AS c (id)"
                f" CROSS JOIN LATERAL ({of_company.format(company='r.company_id = c.id AND ')}) r"
            )
        if self._scope.user_id is not None:
            times = ("o.started_at", "o.recording_id")
            yield (
                f"SELECT 0 AS source, r.* FROM (SELECT {columns} FROM recording_owner o"
                " JOIN recording r ON r.id = o.recording_id WHERE o.user_id = %(user)s"
                " AND r.company_id <> ALL(%(companies)s::integer[])"
                f" AND {self._bounds.format(*times)} {order.format(*times)} LIMIT %(each)s) r"
            )

    def ask_index(self) -> Found:
        """Return what the indexes find, however old."""
        query = (
            f"WITH hits AS MATERIALIZED ({' UNION ALL '.join(self._hits())})"
            " SELECT *, (SELECT count(*) FROM hits) AS total, NULL::timestamptz AS horizon"
            f" FROM hits ORDER BY started_at {self._way}, id {self._way} LIMIT %(limit)s"
        )
        found = rows(self._db, _Row, query, self._arguments)
        calls: list[Call] = list(found)
        return Found(calls, found[0].total if found else 0, True)

    def _hits(self) -> Iterator[str]:
        bounds = self._bounds.format("r.started_at", "r.id")
        if self._scope.everything or self._scope.companies:
            yield (
                f"SELECT {COLUMNS} FROM recording r WHERE {self._company} AND {self._filter}"
                f" AND {bounds}"
            )
        if self._scope.user_id is not None:
            yield (
                f"SELECT {COLUMNS} FROM recording_owner o JOIN recording r"
                " ON r.id = o.recording_id WHERE o.user_id = %(user)s"
                " AND r.company_id <> ALL(%(companies)s::integer[])"
                f" AND {self._filter} AND {self._bounds.format('o.started_at', 'o.recording_id')}"
            )


def neighbours(
    db: Connection, scope: Scope, wanted: Wanted, key: Key
) -> tuple[Call | None, Call | None]:
    """Return the calls before and after one in time, of what is searched for."""
    older, newer = (search(db, scope, wanted, key, 1, newer=way).calls for way in (False, True))
    return next(iter(older), None), next(iter(newer), None)


def within(scope: Scope, company: int | None) -> Scope:
    """Return a scope without all but one company, or (None) without all but one's own calls."""
    if company is None:
        return replace(scope, everything=False, companies=())
    if not scope.everything and company not in scope.companies:
        return Scope()
    return Scope(companies=(company,))
