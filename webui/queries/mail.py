"""The mail server and the general settings."""

from dataclasses import dataclass
from datetime import datetime

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Server:
    """The mail server that is set up; nobody here can read its password."""

    host: str
    port: int
    security: str
    username: str
    saved_at: datetime
    saved_by: str


def server(db: Connection) -> Server | None:
    """Return the mail server; None: none is set up."""
    query = "SELECT host, port, security::text, username, saved_at, saved_by FROM mail_server"
    return next(iter(rows(db, Server, query, [])), None)


def is_configured(db: Connection) -> bool:
    """Say whether mail can be sent to anybody."""
    query = "SELECT 1 FROM mail_server, general_settings WHERE sender <> '' AND recipients <> '{}'"
    return db.execute(query).fetchone() is not None


def sealing_key(db: Connection, name: str) -> bytes:
    """Return the public key to which secrets for a daemon are sealed."""
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = %s", [name]).fetchone()
    assert row is not None, f"no sealing key {name}: run 'callstash init'"
    return bytes(row[0])


def save_server(
    db: Connection,
    before: datetime | None,
    host: str,
    port: int,
    security: str,
    username: str,
    password_sealed: bytes | None,
    by: str,
) -> bool:
    """Save the mail server; false where it is no longer the one that was saved at `before`.

    Without a new password the old one stays, where there is a user name.
    """
    arguments = {
        "before": before, "host": host, "port": port, "security": security, "by": by,
        "username": username, "password": password_sealed,
    }  # fmt: skip
    if before is None:
        query = (
            "INSERT INTO mail_server (host, port, security, username, password_sealed, saved_by)"
            " VALUES (%(host)s, %(port)s, %(security)s, %(username)s, %(password)s, %(by)s)"
            " ON CONFLICT DO NOTHING"
        )
    else:
        keeps = username and password_sealed is None
        password = "" if keeps else " password_sealed = %(password)s,"
        query = (
            "UPDATE mail_server SET host = %(host)s, port = %(port)s, security = %(security)s,"
            f" username = %(username)s,{password} saved_at = now(), saved_by = %(by)s"
            " WHERE saved_at = %(before)s"
        )
    return db.execute(query, arguments).rowcount == 1


def remove_server(db: Connection) -> None:
    """Forget the mail server."""
    db.execute("DELETE FROM mail_server")


@dataclass(frozen=True)
class General:
    """Who is told what by mail."""

    sender: str
    recipients: list[str]
    on_disk_low: bool
    on_poll_failure: bool
    on_backup: bool
    on_digest: bool
    users_may_mail_links: bool


def general(db: Connection) -> General:
    """Return the general settings."""
    query = (
        "SELECT sender, recipients, on_disk_low, on_poll_failure, on_backup, on_digest,"
        " users_may_mail_links"
        " FROM general_settings"
    )
    return rows(db, General, query, [])[0]


def save_general(db: Connection, new: General) -> None:
    """Save the general settings."""
    db.execute(
        "UPDATE general_settings SET sender = %(sender)s, recipients = %(recipients)s,"
        " on_disk_low = %(on_disk_low)s, on_poll_failure = %(on_poll_failure)s,"
        " on_backup = %(on_backup)s, on_digest = %(on_digest)s,"
        " users_may_mail_links = %(users_may_mail_links)s",
        vars(new),
    )
