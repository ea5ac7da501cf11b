"""Accounts, sessions, failed logins and the audit log."""

from dataclasses import dataclass

from psycopg.types.json import Jsonb

from common.db import Connection
from webui.queries.rows import rows


def password_hash(db: Connection, name: str) -> str | None:
    """Return the password hash of an account; None: there is no such account."""
    row = db.execute("SELECT password_hash FROM account WHERE name = %s", [name]).fetchone()
    return str(row[0]) if row else None


def begin_session(db: Connection, token: bytes, account: str, address: str | None) -> None:
    """Insert a session under the hash of its token."""
    db.execute(
        "INSERT INTO session (token_sha256, account, address) VALUES (%s, %s, %s)",
        [token, account, address],
    )


def session_account(db: Connection, token: bytes, idle_minutes: int, hours: int) -> str | None:
    """Return whose session this is; None where it has expired or never was."""
    row = db.execute(
        "SELECT account FROM session WHERE token_sha256 = %s"
        " AND seen_at > now() - %s * interval '1 minute'"
        " AND created_at > now() - %s * interval '1 hour'",
        [token, idle_minutes, hours],
    ).fetchone()
    return str(row[0]) if row else None


def touch_session(db: Connection, token: bytes) -> None:
    """Note that somebody uses a session, at most every ten seconds."""
    db.execute(
        "UPDATE session SET seen_at = now()"
        " WHERE token_sha256 = %s AND seen_at < now() - interval '10 seconds'",
        [token],
    )


def set_notice(db: Connection, token: bytes, text: str) -> None:
    """Keep what the next page of a session says once."""
    db.execute("UPDATE session SET notice = %s WHERE token_sha256 = %s", [text, token])


def take_notice(db: Connection, token: bytes) -> str | None:
    """Return what a page of a session says once, and forget it."""
    row = db.execute(
        "UPDATE session s SET notice = NULL FROM session old WHERE s.token_sha256 = %s"
        " AND old.token_sha256 = s.token_sha256 AND old.notice IS NOT NULL RETURNING old.notice",
        [token],
    ).fetchone()
    return str(row[0]) if row else None


def end_session(db: Connection, token: bytes) -> None:
    """Delete a session."""
    db.execute("DELETE FROM session WHERE token_sha256 = %s", [token])


def purge(db: Connection, idle_minutes: int, hours: int) -> None:
    """Delete expired sessions and failures that no longer throttle anybody."""
    db.execute(
        "DELETE FROM session WHERE seen_at < now() - %s * interval '1 minute'"
        " OR created_at < now() - %s * interval '1 hour'",
        [idle_minutes, hours],
    )
    db.execute("DELETE FROM login_failure WHERE at < now() - interval '1 day'")


@dataclass(frozen=True)
class Failures:
    """Failed logins of the last hour, and the seconds since the last of them."""

    by_name: int
    by_address: int
    since_name: float
    since_address: float


def failures(db: Connection, name: str, address: str | None) -> Failures:
    """Return the failed logins with a name and from an address."""
    query = (
        "SELECT n.count AS by_name, a.count AS by_address, n.since AS since_name,"
        " a.since AS since_address FROM (SELECT count(*),"
        " coalesce(extract(epoch FROM now() - max(at)), 0)::float8 AS since FROM login_failure"
        " WHERE name = %(name)s AND at > now() - interval '1 hour') n,"
        " (SELECT count(*), coalesce(extract(epoch FROM now() - max(at)), 0)::float8 AS since"
        " FROM login_failure"
        " WHERE address = %(address)s::inet AND at > now() - interval '1 hour') a"
    )
    return rows(db, Failures, query, {"name": name, "address": address})[0]


def add_failure(db: Connection, name: str, address: str | None) -> None:
    """Insert a failed login."""
    db.execute("INSERT INTO login_failure (name, address) VALUES (%s, %s)", [name, address])


def forget_failures(db: Connection, name: str) -> None:
    """Delete the failed logins with a name."""
    db.execute("DELETE FROM login_failure WHERE name = %s", [name])


def one_login_at_a_time(db: Connection) -> None:
    """Wait until no other login is being counted; holds until the transaction ends."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('callstash.login'))")


def note(
    db: Connection, actor: str, action: str, subject: str, address: str | None, **detail: object
) -> None:
    """Append to the audit log."""
    db.execute(
        "INSERT INTO audit (actor, action, subject, detail, address) VALUES (%s, %s, %s, %s, %s)",
        [actor, action, subject, Jsonb(detail), address],
    )


def note_play(
    db: Connection, actor: str, subject: str, address: str | None, view: str | None
) -> None:
    """Append a play to the audit log, once for each view of the player page (None: each time)."""
    if view is None:
        note(db, actor, "recording.play", subject, address)
        return
    arguments = {
        "actor": actor,
        "subject": subject,
        "detail": Jsonb({"view": view}),
        "address": address,
    }
    with db.transaction():  # a player asks for several ranges at the same time
        db.execute("SELECT pg_advisory_xact_lock(hashtext(%(subject)s))", arguments)
        db.execute(
            "INSERT INTO audit (actor, action, subject, detail, address)"
            " SELECT %(actor)s, 'recording.play', %(subject)s, %(detail)s, %(address)s"
            " WHERE NOT EXISTS (SELECT FROM audit WHERE subject = %(subject)s AND actor = %(actor)s"
            " AND action = 'recording.play' AND detail = %(detail)s"
            " AND address IS NOT DISTINCT FROM %(address)s::inet)",
            arguments,
        )
