"""SQL: the licence of this box."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from common.db import Connection
from common.licence import Licence


@dataclass(frozen=True)
class Installed:
    """The licence in force, and how refreshing it went."""

    document: str
    serial: str
    pbxs: int
    tried_at: datetime | None
    installed_at: datetime
    failures: int


def box(db: Connection) -> UUID:
    """Return the identity of this box."""
    row = db.execute("SELECT id FROM box").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def installed(db: Connection) -> Installed | None:
    """Return the licence in force."""
    with db.cursor(row_factory=class_row(Installed)) as cursor:
        return cursor.execute(
            "SELECT document, serial, pbxs, tried_at, installed_at, failures FROM licence"
        ).fetchone()


def install(db: Connection, document: str, new: Licence, refreshed: datetime | None) -> None:
    """Put a verified licence in force."""
    db.execute(
        "INSERT INTO licence (document, serial, pbxs, activated, support_until, refreshed_at,"
        " tried_at) VALUES (%(document)s, %(serial)s, %(pbxs)s, %(activated)s, %(support_until)s,"
        " %(at)s, %(at)s) ON CONFLICT (single) DO UPDATE SET document = excluded.document,"
        " serial = excluded.serial, pbxs = excluded.pbxs, activated = excluded.activated,"
        " support_until = excluded.support_until, installed_at = now(), failures = 0, error = NULL,"
        " refreshed_at = coalesce(excluded.refreshed_at, licence.refreshed_at),"
        " tried_at = coalesce(excluded.tried_at, licence.tried_at)",
        {**vars(new), "document": document, "at": refreshed},
    )


def refresh_failed(db: Connection, at: datetime, error: str) -> None:
    """Note that the licence could not be refreshed."""
    db.execute("UPDATE licence SET tried_at = %s, failures = failures + 1, error = %s", [at, error])


def note(db: Connection, actor: str, action: str, subject: str, **detail: object) -> None:
    """Append to the audit log."""
    db.execute(
        "INSERT INTO audit (actor, action, subject, detail) VALUES (%s, %s, %s, %s)",
        [actor, action, subject, Jsonb(detail)],
    )
