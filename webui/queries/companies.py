"""Companies: the list with what is stored of each, one of them, and their deletion."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Row:
    """A line of the list of companies."""

    id: int
    pbx_id: int
    pbx_name: str
    name: str
    label: str
    state: str
    listed_until: datetime | None
    calls: int
    bytes: int


@dataclass(frozen=True)
class Sums:
    """How many companies there are, and what is stored of them."""

    companies: int
    suspended: int
    calls: int
    bytes: int


def labels(db: Connection, companies: Collection[int]) -> dict[int, str]:
    """Return the labels of companies by their ids, in the order of the labels."""
    query = "SELECT id, label FROM company WHERE id = ANY(%s) ORDER BY label, id"
    return dict(db.execute(query, [list(companies)]).fetchall())


def some(db: Connection, most: int) -> list[tuple[int, str]]:
    """Return ids and labels of all companies where those are not more than `most`, else none."""
    query = "SELECT id, label FROM company ORDER BY label, id LIMIT %s"
    found = [(int(row[0]), str(row[1])) for row in db.execute(query, [most + 1])]
    return found if len(found) <= most else []


_USAGE = (
    " LEFT JOIN (SELECT company_id, sum(calls)::bigint AS calls, sum(bytes)::bigint AS bytes"
    " FROM company_usage GROUP BY company_id) u ON u.company_id = c.id"
)
_WANTED = (
    " WHERE (%(pbx)s::integer IS NULL OR c.pbx_id = %(pbx)s)"
    " AND (position(lower(%(part)s) IN lower(c.label)) > 0"
    " OR position(lower(%(part)s) IN lower(c.name)) > 0)"
)


def companies(
    db: Connection, pbx_id: int | None, part: str, after: int | None, limit: int
) -> list[Row]:
    """Return companies in the order of their labels, of one PBX or all, beyond one of them.

    `part` is a part of their name or label.
    """
    beyond = " AND (c.label, c.id) > (SELECT label, id FROM company WHERE id = %(after)s)"
    query = (
        "SELECT c.id, c.pbx_id, p.name AS pbx_name, c.name, c.label, c.state::text,"
        " c.listed_until, coalesce(u.calls, 0) AS calls, coalesce(u.bytes, 0) AS bytes"
        f" FROM company c JOIN pbx p ON p.id = c.pbx_id{_USAGE}{_WANTED}"
        f"{beyond if after is not None else ''} ORDER BY c.label, c.id LIMIT %(limit)s"
    )
    arguments = {"pbx": pbx_id, "part": part, "after": after, "limit": limit}
    return rows(db, Row, query, arguments)


def sums(db: Connection, pbx_id: int | None, part: str = "") -> Sums:
    """Return the sums over the companies that `companies` lists."""
    query = (
        "SELECT count(*) AS companies, count(*) FILTER (WHERE c.state <> 'active') AS suspended,"
        " coalesce(sum(u.calls), 0)::bigint AS calls, coalesce(sum(u.bytes), 0)::bigint AS bytes"
        f" FROM company c{_USAGE}{_WANTED}"
    )
    return rows(db, Sums, query, {"pbx": pbx_id, "part": part})[0]


@dataclass(frozen=True)
class Details:
    """All that is known of a company."""

    id: int
    pbx_id: int
    pbx_name: str
    name: str
    label: str
    state: str
    created_at: datetime
    listed_until: datetime | None
    delete_requested_at: datetime | None
    delete_requested_by: str | None
    kid: str | None
    opens: bool | None
    to_rewrap: int
    rewrapped: int
    calls: int
    bytes: int
    first_call: datetime | None
    last_call: datetime | None


def company(db: Connection, company_id: int) -> Details | None:
    """Return a company."""
    ends = "(SELECT started_at FROM recording WHERE company_id = c.id ORDER BY {} LIMIT 1)"
    query = (
        "SELECT c.id, c.pbx_id, p.name AS pbx_name, c.name, c.label, c.state::text, c.created_at,"
        " c.listed_until, c.delete_requested_at, c.delete_requested_by,"
        " (SELECT kid FROM company_key WHERE company_id = c.id AND retired_at IS NULL) AS kid,"
        " (SELECT private_sealed IS NOT NULL FROM company_key WHERE company_id = c.id"
        " AND retired_at IS NULL) AS opens, coalesce(w.to_rewrap, 0)::bigint AS to_rewrap,"
        " coalesce(w.rewrapped, 0)::bigint AS rewrapped,"
        " coalesce(u.calls, 0)::bigint AS calls, coalesce(u.bytes, 0)::bigint AS bytes,"
        f" {ends.format('started_at, id')} AS first_call,"
        f" {ends.format('started_at DESC, id DESC')} AS last_call"
        " FROM company c JOIN pbx p ON p.id = c.pbx_id LEFT JOIN LATERAL (SELECT"
        " sum(calls) AS calls, sum(bytes) AS bytes FROM company_usage WHERE company_id = c.id) u"
        " ON true LEFT JOIN LATERAL"
        " (SELECT sum(to_rewrap) AS to_rewrap, sum(rewrapped) AS rewrapped"
        " FROM company_key WHERE company_id = c.id AND retired_at IS NOT NULL"
        " AND rewrapped_at IS NULL AND rewrapped < to_rewrap) w ON true WHERE c.id = %s"
    )
    return next(iter(rows(db, Details, query, [company_id])), None)


def request_deletion(db: Connection, company_id: int, by: str) -> bool:
    """Mark a suspended company to be deleted; False where it is not suspended (any more)."""
    return _moved(
        db,
        "UPDATE company SET state = 'delete_pending', delete_requested_at = now(),"
        " delete_requested_by = %(by)s WHERE id = %(id)s AND state = 'suspended'",
        {"id": company_id, "by": by},
    )


def cancel_deletion(db: Connection, company_id: int) -> bool:
    """Take back that a company is deleted; False where it is not marked (any more)."""
    return _moved(
        db,
        "UPDATE company SET state = 'suspended', delete_requested_at = NULL,"
        " delete_requested_by = NULL WHERE id = %(id)s AND state = 'delete_pending'",
        {"id": company_id},
    )


def _moved(db: Connection, query: str, arguments: Mapping[str, Any]) -> bool:
    return db.execute(query, arguments).rowcount == 1
