"""Accounts, sessions, failed logins and the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Account:
    """What a login needs to know of an account."""

    password_hash: str
    factory: bool
    has_factor: bool


def account(db: Connection, name: str) -> Account | None:
    """Return an account."""
    query = (
        "SELECT password_hash, factory, totp_sealed IS NOT NULL AS has_factor FROM account"
        " WHERE name = %s"
    )
    return next(iter(rows(db, Account, query, [name])), None)


def factory(db: Connection) -> list[str]:
    """Return the accounts that still have the factory password."""
    query = "SELECT name FROM account WHERE factory ORDER BY name DESC"
    return [str(row[0]) for row in db.execute(query)]


def factor(db: Connection, name: str) -> bytes | None:
    """Return the sealed secret of an account's second factor; None: it is off."""
    row = db.execute("SELECT totp_sealed FROM account WHERE name = %s", [name]).fetchone()
    return bytes(row[0]) if row and row[0] is not None else None


def set_factor(db: Connection, name: str, sealed: bytes | None, step: int) -> None:
    """Switch the second factor of an account on, or off."""
    db.execute(
        "UPDATE account SET totp_sealed = %s, totp_step = %s WHERE name = %s", [sealed, step, name]
    )


def use_step(db: Connection, name: str, step: int) -> bool:
    """Note that the code of a time step was used; false where it or a later one was before."""
    query = "UPDATE account SET totp_step = %s WHERE name = %s AND totp_step < %s"
    return db.execute(query, [step, name, step]).rowcount == 1


def begin_session(
    db: Connection, token: bytes, account: str, address: str | None, step: str, user_agent: str
) -> None:
    """Insert a session under the hash of its token; `step` is what it lacks to be open."""
    db.execute(
        "INSERT INTO session (token_sha256, account, address, step, user_agent)"
        " VALUES (%s, %s, %s, %s, %s)",
        [token, account, address, step, user_agent],
    )


def know_user(db: Connection, pbx_id: int, remote_id: str, login: str, name: str) -> int:
    """Note what a PBX says of one of its users, and return our id of them."""
    row = db.execute(
        "INSERT INTO pbx_user (pbx_id, remote_id, login, name) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (pbx_id, remote_id) DO UPDATE SET login = excluded.login,"
        " name = excluded.name RETURNING id",
        [pbx_id, remote_id, login, name],
    ).fetchone()
    assert row is not None
    return int(row[0])


def begin_user_session(
    db: Connection,
    token: bytes,
    user_id: int,
    hears: Sequence[int],
    address: str | None,
    user_agent: str,
) -> None:
    """Insert a session of a PBX user, who hears all calls of these companies."""
    db.execute(
        "INSERT INTO session (token_sha256, user_id, hears, address, user_agent)"
        " VALUES (%s, %s, %s, %s, %s)",
        [token, user_id, list(hears), address, user_agent],
    )


@dataclass(frozen=True)
class Session:
    """A logged-in browser, or one that has yet to do a step: 'password' or 'code'.

    Of a PBX user `account` is login@pbxID; they hear all calls of the companies in `hears`.
    """

    id: UUID
    token_sha256: bytes
    account: str
    name: str
    user_id: int | None
    hears: list[int]
    step: str
    created_at: datetime
    seen_at: datetime
    address: str | None
    user_agent: str


_SESSION = (
    "SELECT s.id, token_sha256, coalesce(account, u.login || '@pbx' || u.pbx_id) AS account,"
    " coalesce(account, nullif(u.name, ''), u.login) AS name, user_id, hears, step::text,"
    " created_at, seen_at, host(address) AS address, user_agent FROM session s"
    " LEFT JOIN pbx_user u ON u.id = s.user_id"
    " WHERE seen_at > now() - %(idle)s * interval '1 minute'"
    " AND created_at > now() - %(hours)s * interval '1 hour'"
)


def session(db: Connection, token: bytes, idle_minutes: int, hours: int) -> Session | None:
    """Return a session; None where it has expired or never was."""
    arguments = {"token": token, "idle": idle_minutes, "hours": hours}
    return next(
        iter(rows(db, Session, f"{_SESSION} AND token_sha256 = %(token)s", arguments)), None
    )


def sessions(db: Connection, idle_minutes: int, hours: int) -> list[Session]:
    """Return all open sessions, the last seen first."""
    arguments = {"idle": idle_minutes, "hours": hours}
    query = f"{_SESSION} AND step = 'open' ORDER BY s.account DESC NULLS LAST, seen_at DESC"
    return rows(db, Session, query, arguments)


def end_session_by_id(db: Connection, session_id: UUID) -> str | None:
    """Delete a session and return whose it was; None where there is none."""
    query = (
        "DELETE FROM session s WHERE id = %s RETURNING coalesce(account,"
        " (SELECT u.login || '@pbx' || u.pbx_id FROM pbx_user u WHERE u.id = s.user_id))"
    )
    row = db.execute(query, [session_id]).fetchone()
    return str(row[0]) if row else None


def end_sessions(db: Connection, name: str, but: bytes | None = None) -> int:
    """Delete the sessions of an account, but for one, and return how many those were."""
    query = "DELETE FROM session WHERE account = %s AND token_sha256 IS DISTINCT FROM %s"
    return db.execute(query, [name, but]).rowcount


@dataclass(frozen=True)
class Administrator:
    """An account as administrators see it, with its last login."""

    name: str
    factory: bool
    has_factor: bool
    changed_at: datetime
    login_at: datetime | None
    login_address: str | None


def administrators(db: Connection) -> list[Administrator]:
    """Return the accounts."""
    query = (
        "SELECT a.name, a.factory, a.totp_sealed IS NOT NULL AS has_factor, a.changed_at,"
        " l.at AS login_at, host(l.address) AS login_address FROM account a LEFT JOIN LATERAL"
        " (SELECT at, address FROM audit WHERE actor = a.name AND action = 'login'"
        " ORDER BY at DESC LIMIT 1) l ON true ORDER BY a.name DESC"
    )
    return rows(db, Administrator, query)


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


def add_failure(db: Connection, name: str, address: str | None) -> int:
    """Insert a failed login and return its id."""
    query = "INSERT INTO login_failure (name, address) VALUES (%s, %s) RETURNING id"
    row = db.execute(query, [name, address]).fetchone()
    assert row is not None
    return int(row[0])


def take_back(db: Connection, failure: int) -> None:
    """Delete one failed login."""
    db.execute("DELETE FROM login_failure WHERE id = %s", [failure])


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
