"""The settings of PBXs, changed by one administrator at a time."""

from dataclasses import dataclass
from datetime import time
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class PbxSettings:
    """What can be set of a PBX, the token apart; `revision` counts the changes."""

    id: int
    uid: UUID
    name: str
    url: str
    certificate: str | None
    timezone: str
    state: str
    poll_minutes: int
    poll_at: time
    revision: int


def settings(db: Connection, pbx_id: int) -> PbxSettings | None:
    """Return the settings of a PBX."""
    query = (
        "SELECT id, uid, name, url, certificate, timezone, state::text, poll_minutes, poll_at,"
        " revision FROM pbx WHERE id = %s"
    )
    return next(iter(rows(db, PbxSettings, query, [pbx_id])), None)


def change(db: Connection, new: PbxSettings, token_sealed: bytes | None) -> bool:
    """Save settings that began with `new.revision`; False where somebody else saved since."""
    done = db.execute(
        "UPDATE pbx SET name = %(name)s, url = %(url)s, certificate = %(certificate)s,"
        " timezone = %(timezone)s, state = %(state)s::pbx_state, poll_minutes = %(minutes)s,"
        " poll_at = %(at)s, revision = revision + 1"
        + (", token_sealed = %(token)s" if token_sealed else "")
        + " WHERE id = %(id)s AND revision = %(revision)s",
        {
            "name": new.name, "url": new.url, "certificate": new.certificate,
            "timezone": new.timezone, "state": new.state, "minutes": new.poll_minutes,
            "at": new.poll_at, "token": token_sealed, "id": new.id, "revision": new.revision,
        },
    )  # fmt: skip
    return done.rowcount == 1


def taken(db: Connection, url: str, except_id: int = 0) -> str | None:
    """Return the name of another PBX that has this address."""
    row = db.execute(
        "SELECT name FROM pbx WHERE url = %s AND id <> %s", [url, except_id]
    ).fetchone()
    return str(row[0]) if row else None
