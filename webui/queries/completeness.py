"""Whether all that the PBXs listed is stored, and how long what is not has left."""

from dataclasses import dataclass
from datetime import date, datetime

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Clock:
    """A PBX: its oldest call that is not stored, and until when all companies are listed."""

    pbx_id: int
    name: str
    unfetched: datetime | None
    unlisted: datetime | None


def clocks(db: Connection) -> list[Clock]:
    """Return the clocks of the PBXs that are polled."""
    query = "SELECT pbx_id, name, unfetched, unlisted FROM loss_clock ORDER BY pbx_id"
    return rows(db, Clock, query, [])


@dataclass(frozen=True)
class Day:
    """What became of the recordings of a day; `company_id` is None where it is of all companies."""

    day: date
    company_id: int | None
    label: str | None
    listed: int
    stored: int
    waiting: int
    gone: int
    unexplained: int
    refused: int


_SUMS = (
    "sum(d.listed)::bigint AS listed, sum(d.stored)::bigint AS stored, sum(d.waiting)::bigint"
    " AS waiting, sum(d.gone)::bigint AS gone, sum(d.unexplained)::bigint AS unexplained,"
    " sum(d.refused)::bigint AS refused"
)


def days(db: Connection, company: int | None, before: date | None, limit: int) -> list[Day]:
    """Return days, the last first, of a company or of all together."""
    query = (
        f"SELECT d.day, NULL::integer AS company_id, NULL AS label, {_SUMS} FROM completeness d"
        " WHERE (%(company)s::integer IS NULL OR d.company_id = %(company)s)"
        " AND d.day IN (SELECT DISTINCT day FROM completeness WHERE day > current_date - 400"
        " AND (%(before)s::date IS NULL OR day < %(before)s)"
        " AND (%(company)s::integer IS NULL OR company_id = %(company)s)"
        " ORDER BY day DESC LIMIT %(limit)s) GROUP BY d.day ORDER BY d.day DESC"
    )
    return rows(db, Day, query, {"company": company, "before": before, "limit": limit})


def troubles(db: Connection, limit: int) -> list[Day]:
    """Return days of companies in the last month of which not all is stored, the worst first."""
    query = (
        "SELECT d.day, d.company_id, c.label, d.listed, d.stored, d.waiting, d.gone,"
        " d.unexplained, d.refused FROM completeness d JOIN company c ON c.id = d.company_id"
        " WHERE d.day > current_date - 32 AND (d.unexplained > 0 OR d.waiting > 0 OR d.gone > 0"
        " OR d.refused > 0) ORDER BY d.unexplained DESC, d.gone DESC, d.waiting DESC, d.day DESC,"
        " d.company_id LIMIT %s"
    )
    return rows(db, Day, query, [limit])


def checked_at(db: Connection) -> datetime | None:
    """Return when the books were last balanced."""
    row = db.execute("SELECT max(checked_at) FROM completeness").fetchone()
    return row[0] if row else None
