"""SQL of backupd: the target that is set up, and how backups and drills went."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Saved:
    """The target that is set up."""

    kind: str
    host: str
    port: int
    path: str
    username: str
    password_sealed: bytes | None
    host_key: str
    target: UUID
    rate_kb: int | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None


def target(db: Connection) -> Saved | None:
    """Return the target; None: backups are switched off."""
    with db.cursor(row_factory=class_row(Saved)) as cursor:
        return cursor.execute(
            "SELECT kind::text, host, port, path, username, password_sealed, host_key, target,"
            " rate_kb, quiet_from, quiet_until FROM backup_target"
        ).fetchone()


def box(db: Connection) -> UUID:
    """Return the identity of this box."""
    row = db.execute("SELECT id FROM box").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def stored_bytes(db: Connection) -> int:
    """Return how many bytes are stored."""
    row = db.execute("SELECT coalesce(sum(bytes), 0)::bigint FROM company_usage").fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True)
class Run:
    """A backup."""

    id: int
    asked_by: str
    state: str
    error: str | None


def last(db: Connection) -> Run | None:
    """Return the last backup, which may be running."""
    with db.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            "SELECT id, asked_by, state::text, error FROM backup_run ORDER BY id DESC LIMIT 1"
        ).fetchone()


def last_start(db: Connection, of: UUID) -> datetime | None:
    """Return when the last nightly backup to a target began, or one that did not fail."""
    row = db.execute(
        "SELECT max(started_at) FROM backup_run WHERE target = %s"
        " AND (asked_by = 'backupd' OR state = 'finished')",
        [of],
    ).fetchone()
    return row[0] if row else None


def failures(db: Connection, of: UUID, since: datetime) -> tuple[int, datetime | None]:
    """Return how many backups to a target failed in a row since an instant, and when the last of
    them ended.
    """
    row = db.execute(
        "SELECT count(*), max(finished_at) FROM backup_run WHERE target = %(of)s"
        " AND state = 'failed' AND started_at >= %(since)s AND id > coalesce((SELECT max(id)"
        " FROM backup_run WHERE target = %(of)s AND state <> 'failed'), 0)",
        {"of": of, "since": since},
    ).fetchone()
    return (int(row[0]), row[1]) if row else (0, None)


def begin(db: Connection, asked_by: str, to: UUID, now: datetime) -> int:
    """Insert a backup and return its id."""
    row = db.execute(
        "INSERT INTO backup_run (asked_by, target, started_at) VALUES (%s, %s, %s) RETURNING id",
        [asked_by, to, now],
    ).fetchone()
    assert row is not None
    return int(row[0])


def advance(db: Connection, run: int, phase: str, done: int, total: int) -> str | None:
    """Note how far a backup is; return who wants it cancelled, if anybody does."""
    row = db.execute(
        "UPDATE backup_run SET phase = %s, files_done = %s, files_total = %s WHERE id = %s"
        " RETURNING cancel_by",
        [phase, done, total, run],
    ).fetchone()
    return row[0] if row else None


def end(
    db: Connection, run: int, state: str, now: datetime, *, error: str | None = None,
    statistics: Mapping[str, int] | None = None, catalogue: str | None = None,
) -> None:  # fmt: skip
    """Note how a backup ended."""
    db.execute(
        "UPDATE backup_run SET state = %s, phase = '', finished_at = %s, error = %s,"
        " statistics = %s, catalogue = %s WHERE id = %s AND state = 'running'",
        [state, now, error, json.dumps(dict(statistics or {})), catalogue, run],
    )


def has_catalogue(db: Connection, at: UUID) -> bool:
    """Has a backup to a target ever finished?"""
    query = "SELECT 1 FROM backup_run WHERE target = %s AND state = 'finished' LIMIT 1"
    return db.execute(query, [at]).fetchone() is not None


def last_drill(db: Connection, of: UUID) -> datetime | None:
    """Return when the last restore drill of a target began."""
    query = "SELECT max(started_at) FROM restore_drill WHERE target = %s"
    row = db.execute(query, [of]).fetchone()
    return row[0] if row else None


def drilled(
    db: Connection, of: UUID, started: datetime, now: datetime, catalogue: str, recordings: int,
    sampled: int, error: str | None,
) -> None:  # fmt: skip
    """Note how a restore drill went."""
    db.execute(
        "INSERT INTO restore_drill (target, started_at, finished_at, catalogue, recordings,"
        " sampled, error) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [of, started, now, catalogue, recordings, sampled, error],
    )
