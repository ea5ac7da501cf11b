"""SQL of the notifier."""

from dataclasses import dataclass

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


def settings(db: Connection) -> Settings:
    """Return the general settings."""
    with db.cursor(row_factory=class_row(Settings)) as cursor:
        found = cursor.execute("SELECT sender, recipients FROM general_settings").fetchone()
    assert found is not None
    return found
