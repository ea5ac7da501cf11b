"""How long recordings are kept."""

from dataclasses import dataclass

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Limit:
    """A company with its own limit (None: as its PBX) and that of its PBX, in months; 0: never."""

    id: int
    label: str
    own: int | None
    default: int

    @property
    def months(self) -> int:
        """Return the limit in force."""
        return self.default if self.own is None else self.own


_LIMIT = (
    "SELECT c.id, c.label, c.keep_months AS own, p.keep_months AS default FROM company c"
    " JOIN pbx p ON p.id = c.pbx_id"
)


def of_pbx(db: Connection, pbx_id: int) -> list[Limit]:
    """Return the companies of a PBX."""
    return rows(db, Limit, f"{_LIMIT} WHERE p.id = %s ORDER BY c.label, c.id", [pbx_id])


def of_company(db: Connection, company_id: int) -> Limit | None:
    """Return a company."""
    return next(iter(rows(db, Limit, f"{_LIMIT} WHERE c.id = %s", [company_id])), None)


def default(db: Connection, pbx_id: int) -> int | None:
    """Return the limit of a PBX; None where there is no such PBX."""
    row = db.execute("SELECT keep_months FROM pbx WHERE id = %s", [pbx_id]).fetchone()
    return int(row[0]) if row else None


def set_default(db: Connection, pbx_id: int, before: int, months: int) -> bool:
    """Set the limit of a PBX; false where it is no longer what it was before."""
    query = "UPDATE pbx SET keep_months = %s WHERE id = %s AND keep_months = %s"
    return db.execute(query, [months, pbx_id, before]).rowcount == 1


def set_own(db: Connection, company_id: int, before: int | None, months: int | None) -> bool:
    """Set the limit of a company; false where it is no longer what it was before."""
    query = (
        "UPDATE company SET keep_months = %s WHERE id = %s AND keep_months IS NOT DISTINCT FROM %s"
    )
    return db.execute(query, [months, company_id, before]).rowcount == 1
