"""PBXs, their companies, and the daemons."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class LoginPbx:
    """What is needed to ask a PBX who somebody is."""

    id: int
    kind: str
    url: str
    certificate: str | None
    timezone: str


def named(db: Connection, text: str) -> LoginPbx | None:
    """Return the one PBX with this id, name, address or server name; None: there is none, or
    several.
    """
    query = (
        "SELECT id, kind, url, certificate, timezone FROM pbx WHERE id::text = %(text)s"
        " OR lower(name) = lower(%(text)s) OR lower(url) = lower(rtrim(%(text)s, '/'))"
        " OR lower(regexp_replace(url, '^https?://', '')) = lower(rtrim(%(text)s, '/'))"
        " OR lower(substring(url FROM '^https?://([^:/]+)')) = lower(%(text)s)"
    )
    found = rows(db, LoginPbx, query, {"text": text})
    return found[0] if len(found) == 1 else None


def companies_named(db: Connection, pbx_id: int, names: Collection[str]) -> list[int]:
    """Return the companies of a PBX with these names."""
    query = "SELECT id FROM company WHERE pbx_id = %s AND name = ANY(%s) ORDER BY id"
    return [int(row[0]) for row in db.execute(query, [pbx_id, list(names)])]


@dataclass(frozen=True)
class Pbx:
    """A PBX as an administrator sees it."""

    id: int
    kind: str
    name: str
    url: str
    pinned: bool
    timezone: str
    state: str
    poll_minutes: int
    poll_at: time
    keep_months: int
    next_poll_at: datetime | None
    requested_at: datetime | None
    poll_failures: int
    contact_error: str | None
    contact_retry_at: datetime | None


_PBX = (
    "SELECT p.id, p.kind, p.name, p.url, p.certificate IS NOT NULL AS pinned, p.timezone,"
    " p.state::text, p.poll_minutes, p.poll_at, p.keep_months, s.next_poll_at, s.requested_at,"
    " coalesce(s.failures, 0) AS poll_failures, c.error AS contact_error,"
    " c.retry_at AS contact_retry_at FROM pbx p LEFT JOIN poll_schedule s ON s.pbx_id = p.id"
    " LEFT JOIN pbx_contact c ON c.pbx_id = p.id"
)


def pbxs(db: Connection) -> list[Pbx]:
    """Return all PBXs."""
    return rows(db, Pbx, f"{_PBX} ORDER BY p.id", [])


def pbx(db: Connection, pbx_id: int) -> Pbx | None:
    """Return a PBX."""
    return next(iter(rows(db, Pbx, f"{_PBX} WHERE p.id = %s", [pbx_id])), None)


@dataclass(frozen=True)
class Company:
    """A company with what is stored of it."""

    id: int
    pbx_id: int
    pbx_name: str
    name: str
    label: str
    state: str
    listed_until: datetime | None
    calls: int
    bytes: int


_COMPANY = (
    "SELECT c.id, c.pbx_id, p.name AS pbx_name, c.name, c.label, c.state::text, c.listed_until,"
    " coalesce(u.calls, 0)::bigint AS calls, coalesce(u.bytes, 0)::bigint AS bytes FROM company c"
    " JOIN pbx p ON p.id = c.pbx_id LEFT JOIN LATERAL (SELECT sum(calls) AS calls,"
    " sum(bytes) AS bytes FROM company_usage WHERE company_id = c.id) u ON true"
)


def companies(db: Connection) -> list[Company]:
    """Return all companies."""
    return rows(db, Company, f"{_COMPANY} ORDER BY c.label, c.id", [])


def company(db: Connection, company_id: int) -> Company | None:
    """Return a company."""
    return next(iter(rows(db, Company, f"{_COMPANY} WHERE c.id = %s", [company_id])), None)
