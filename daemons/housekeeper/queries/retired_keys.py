"""SQL: retired keys of companies, and whether a recording needs them."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from common.db import Connection

_NEEDED = (
    "EXISTS (SELECT FROM recording_audio a WHERE a.company_id = k.company_id"
    " AND a.key_version = k.version)"
)


@dataclass(frozen=True)
class Retired:
    """A key that nothing has needed for long, locked."""

    company_id: int
    version: int
    kid: str
    retired_at: datetime
    unneeded_at: datetime


def look(db: Connection, now: datetime, retired_before: datetime) -> None:
    """Note which retired keys no recording needs since now, and which are needed after all."""
    db.execute(
        f"WITH looked AS (SELECT k.company_id, k.version, {_NEEDED} AS needed FROM company_key k"
        " WHERE k.retired_at < %s) UPDATE company_key k SET unneeded_at ="
        " CASE WHEN NOT l.needed THEN %s::timestamptz END FROM looked l WHERE"
        " k.company_id = l.company_id AND k.version = l.version"
        " AND (k.unneeded_at IS NULL) <> l.needed",
        [retired_before, now],
    )


def lock(db: Connection, unneeded_before: datetime) -> Retired | None:
    """Lock and return a retired key that nothing has needed for long, but for one that somebody
    is storing a recording with: until the commit, nobody can.
    """
    with db.cursor(row_factory=class_row(Retired)) as cursor:
        return cursor.execute(
            "SELECT company_id, version, kid, retired_at, unneeded_at FROM company_key"
            " WHERE retired_at IS NOT NULL AND unneeded_at < %s"
            " ORDER BY company_id, version LIMIT 1 FOR UPDATE SKIP LOCKED",
            [unneeded_before],
        ).fetchone()


def destroy(db: Connection, key: Retired) -> bool:
    """Delete a locked key; where a recording needs it after all, note that and return False."""
    of = [key.company_id, key.version]
    gone = db.execute(
        f"DELETE FROM company_key k WHERE company_id = %s AND version = %s AND NOT {_NEEDED}", of
    )
    if gone.rowcount:
        return True
    db.execute(
        "UPDATE company_key SET unneeded_at = NULL WHERE company_id = %s AND version = %s", of
    )
    return False
