"""SQL: mail, and how it is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Server:
    """The mail server that is set up."""

    host: str
    port: int
    security: str
    username: str
    password_sealed: bytes | None


def server(db: Connection) -> Server | None:
    """Return the mail server; None: none is set up."""
    with db.cursor(row_factory=class_row(Server)) as cursor:
        return cursor.execute(
            "SELECT host, port, security::text, username, password_sealed FROM mail_server"
        ).fetchone()


@dataclass(frozen=True)
class Settings:
    """Who writes, and to whom."""

    sender: str
    recipients: list[str]
    on_disk_low: bool
    on_poll_failure: bool
    on_backup: bool
    on_digest: bool


def settings(db: Connection) -> Settings:
    """Return the general settings."""
    with db.cursor(row_factory=class_row(Settings)) as cursor:
        found = cursor.execute(
            "SELECT sender, recipients, on_disk_low, on_poll_failure, on_backup, on_digest"
            " FROM general_settings"
        ).fetchone()
    assert found is not None
    return found


@dataclass(frozen=True)
class Due:
    """A mail that is to be sent now; `attempts` counts this one."""

    id: UUID
    recipient: str
    sealed: bytes
    created_at: datetime
    expires_at: datetime
    attempts: int
    error: str | None


def claim(db: Connection, now: datetime, first: timedelta, longest: timedelta) -> Due | None:
    """Claim the mail that is due first: it is due again later, should this try never end."""
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            "UPDATE mail SET attempts = attempts + 1, next_try_at = %(now)s"
            " + least(%(longest)s::interval, %(first)s::interval * (2 ^ least(attempts, 20)))"
            " WHERE id = (SELECT id FROM mail WHERE next_try_at <= %(now)s"
            " ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " RETURNING id, recipient, sealed, created_at, expires_at, attempts, error",
            {"now": now, "first": first, "longest": longest},
        ).fetchone()


def sent(db: Connection, mail_id: UUID, now: datetime) -> None:
    """Note that the server took a mail, and forget what it says."""
    db.execute(
        "UPDATE mail SET sent_at = %s, next_try_at = NULL, sealed = NULL, error = NULL"
        " WHERE id = %s",
        [now, mail_id],
    )


def failed(db: Connection, mail_id: UUID, error: str) -> None:
    """Note why a mail could not be sent yet."""
    db.execute("UPDATE mail SET error = %s WHERE id = %s", [error, mail_id])


def give_up(db: Connection, mail_id: UUID, now: datetime, error: str) -> None:
    """Note that a mail will never be sent, and forget what it says."""
    db.execute(
        "UPDATE mail SET refused_at = %s, next_try_at = NULL, sealed = NULL, error = %s"
        " WHERE id = %s",
        [now, error, mail_id],
    )


def forget(db: Connection, before: datetime) -> None:
    """Delete mails that ended long ago, but for those that links refer to."""
    db.execute(
        "DELETE FROM mail m WHERE coalesce(sent_at, refused_at) < %s"
        " AND NOT EXISTS (SELECT FROM link WHERE mail_id = m.id)",
        [before],
    )
