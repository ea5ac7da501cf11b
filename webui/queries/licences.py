"""The licence of this box."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Licence:
    """The licence in force."""

    serial: str
    pbxs: int
    activated: date
    support_until: date
    installed_at: datetime
    refreshed_at: datetime | None
    error: str | None


def licence(db: Connection) -> Licence | None:
    """Return the licence in force; None: this box is not activated."""
    query = (
        "SELECT serial, pbxs, activated, support_until, installed_at, refreshed_at, error"
        " FROM licence"
    )
    return next(iter(rows(db, Licence, query, [])), None)


def is_licensed(db: Connection) -> bool:
    """Say whether this box is activated."""
    return db.execute("SELECT 1 FROM licence").fetchone() is not None


def box(db: Connection) -> UUID:
    """Return the identity of this box."""
    row = db.execute("SELECT id FROM box").fetchone()
    assert row is not None
    return UUID(str(row[0]))
