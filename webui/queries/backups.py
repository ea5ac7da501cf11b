"""Backups: where they go, and how they went."""

from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Target:
    """Where backups go; nobody here can read its password."""

    kind: str
    host: str
    port: int
    path: str
    username: str
    host_key: str
    target: UUID
    saved_at: datetime
    saved_by: str
    rate_kb: int | None
    quiet_from: time | None
    quiet_until: time | None


def target(db: Connection) -> Target | None:
    """Return the target; None: backups are switched off."""
    query = (
        "SELECT kind::text, host, port, path, username, host_key, target, saved_at, saved_by,"
        " rate_kb, quiet_from, quiet_until FROM backup_target"
    )
    return next(iter(rows(db, Target, query, [])), None)


@dataclass(frozen=True)
class Wanted:
    """A target that is to be saved."""

    kind: str
    host: str = ""
    port: int = 22
    path: str = ""
    username: str = ""
    host_key: str = ""


def save(
    db: Connection, new: Wanted, password_sealed: bytes | None, keeps_password: bool,
    target_id: UUID, by: str,
) -> None:  # fmt: skip
    """Save a target that was tried."""
    arguments = {**vars(new), "password": password_sealed, "target": target_id, "by": by}
    password = "" if keeps_password else " password_sealed = %(password)s,"
    changed = db.execute(
        "UPDATE backup_target SET kind = %(kind)s, host = %(host)s, port = %(port)s,"
        f" path = %(path)s, username = %(username)s,{password} host_key = %(host_key)s,"
        " target = %(target)s, saved_at = now(), saved_by = %(by)s",
        arguments,
    )
    if not changed.rowcount:
        db.execute(
            "INSERT INTO backup_target (kind, host, port, path, username, password_sealed,"
            " host_key, target, saved_by) VALUES (%(kind)s, %(host)s, %(port)s, %(path)s,"
            " %(username)s, %(password)s, %(host_key)s, %(target)s, %(by)s)",
            arguments,
        )


def pace(db: Connection, rate_kb: int | None, begin: time | None, end: time | None) -> bool:
    """Save how fast a target is written to, and when a new one is not; false where none is."""
    query = "UPDATE backup_target SET rate_kb = %s, quiet_from = %s, quiet_until = %s"
    return db.execute(query, [rate_kb, begin, end]).rowcount == 1


@dataclass(frozen=True)
class Brake:
    """What stopped backups."""

    found_at: datetime
    recordings: int
    lost_rows: int
    lost_files: int


def brake(db: Connection) -> Brake | None:
    """Return what stops backups until it is confirmed."""
    query = (
        "SELECT found_at, recordings, lost_rows, lost_files FROM backup_brake"
        " WHERE confirmed_at IS NULL"
    )
    return next(iter(rows(db, Brake, query, [])), None)


def confirm(db: Connection, what: Brake, by: str) -> bool:
    """Let backups go on without what was lost; false where that is something else by now."""
    done = db.execute(
        "UPDATE backup_brake SET confirmed_at = now(), confirmed_by = %s"
        " WHERE confirmed_at IS NULL AND lost_rows = %s AND lost_files = %s",
        [by, what.lost_rows, what.lost_files],
    )
    return done.rowcount == 1


def remove(db: Connection) -> bool:
    """Switch backups off; false where they were."""
    return db.execute("DELETE FROM backup_target").rowcount == 1


def public_key(db: Connection) -> str:
    """Return the line with which a server lets the box in."""
    row = db.execute("SELECT public_key FROM ssh_key").fetchone()
    return str(row[0]) if row else ""


@dataclass(frozen=True)
class Run:
    """A backup."""

    id: int
    asked_by: str
    state: str
    phase: str
    started_at: datetime
    finished_at: datetime | None
    files_total: int
    files_done: int
    statistics: dict[str, int]
    error: str | None
    cancel_by: str | None


def runs(db: Connection, limit: int) -> list[Run]:
    """Return backups, the last first."""
    query = (
        "SELECT id, asked_by, state::text, phase, started_at, finished_at, files_total, files_done,"
        " statistics, error, cancel_by FROM backup_run ORDER BY id DESC LIMIT %s"
    )
    return rows(db, Run, query, [limit])


@dataclass(frozen=True)
class Drill:
    """A try to restore: what came back, and what was against it."""

    finished_at: datetime
    recordings: int
    sampled: int
    error: str | None


def drill(db: Connection) -> Drill | None:
    """Return the last try to restore."""
    query = (
        "SELECT finished_at, recordings, sampled, error FROM restore_drill ORDER BY id DESC LIMIT 1"
    )
    return next(iter(rows(db, Drill, query, [])), None)


def cancel(db: Connection, by: str) -> bool:
    """Ask to end the backup that runs; false where none does."""
    query = "UPDATE backup_run SET cancel_by = %s WHERE state = 'running' AND cancel_by IS NULL"
    return db.execute(query, [by]).rowcount == 1
