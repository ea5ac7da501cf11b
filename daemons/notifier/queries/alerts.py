"""SQL: alerts, from when a condition is first seen until it is no longer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from common.db import Connection
from daemons.notifier.conditions import Condition


@dataclass(frozen=True)
class Alert:
    """A condition that was seen, and what was told of it."""

    id: int
    kind: str
    subject: str
    rank: int
    is_critical: bool
    title: str
    body: str
    raised_at: datetime
    quiet_since: datetime | None
    ended_at: datetime | None
    acknowledged_at: datetime | None
    told_rank: int
    told_at: datetime | None


_ALERT = (
    "SELECT id, kind, subject, rank, is_critical, title, body, raised_at, quiet_since, ended_at,"
    " acknowledged_at, told_rank, told_at FROM alert"
)


def unended(db: Connection) -> list[Alert]:
    """Lock and return the alerts that have not ended."""
    with db.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(f"{_ALERT} WHERE ended_at IS NULL ORDER BY id FOR UPDATE").fetchall()


def begin(db: Connection, new: Condition, now: datetime) -> int:
    """Insert an alert and return its id."""
    row = db.execute(
        "INSERT INTO alert (kind, subject, rank, is_critical, title, body, raised_at, changed_at)"
        " VALUES (%(kind)s, %(subject)s, %(rank)s, %(is_critical)s, %(title)s, %(body)s, %(now)s,"
        " %(now)s) RETURNING id",
        {**vars(new), "now": now},
    ).fetchone()
    assert row is not None
    return int(row[0])


def go_on(db: Connection, alert: int, as_now: Condition, now: datetime, *, is_worse: bool) -> None:
    """Note how it is now; one that has got worse needs to be acknowledged again."""
    db.execute(
        "UPDATE alert SET rank = %(rank)s, is_critical = %(is_critical)s, title = %(title)s,"
        " body = %(body)s, changed_at = %(now)s, quiet_since = NULL,"
        " acknowledged_at = CASE WHEN %(worse)s THEN NULL ELSE acknowledged_at END,"
        " acknowledged_by = CASE WHEN %(worse)s THEN NULL ELSE acknowledged_by END"
        " WHERE id = %(id)s",
        {**vars(as_now), "now": now, "id": alert, "worse": is_worse},
    )


def quiet(db: Connection, alert: int, now: datetime) -> None:
    """Note that a condition is over for now."""
    db.execute("UPDATE alert SET quiet_since = %s WHERE id = %s", [now, alert])


def end(db: Connection, alert: int, now: datetime) -> None:
    """Note that a condition is over."""
    db.execute("UPDATE alert SET ended_at = %(now)s, changed_at = %(now)s WHERE id = %(id)s",
               {"now": now, "id": alert})  # fmt: skip


def untold(db: Connection, now: datetime, remind: timedelta, silent: Sequence[str]) -> list[Alert]:
    """Lock and return alerts of which mail has to tell something, but for some kinds: new ones,
    worse ones, ended ones that were told, and critical ones that nobody has acknowledged - these
    not while mail waits anyway.
    """
    with db.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            f"{_ALERT} WHERE kind <> ALL(%(silent)s::text[]) AND ((ended_at IS NULL"
            " AND (rank > told_rank OR (is_critical AND acknowledged_at IS NULL"
            " AND told_at <= %(remind)s AND NOT EXISTS (SELECT FROM mail WHERE kind = 'alert'"
            " AND next_try_at IS NOT NULL)))) OR (ended_at > %(old)s AND told_rank > 0"
            " AND NOT told_end)) ORDER BY is_critical DESC, id FOR UPDATE",
            {"silent": list(silent), "remind": now - remind, "old": now - timedelta(days=14)},
        ).fetchall()


def told(db: Connection, alerts: Sequence[int], now: datetime) -> None:
    """Note that mail has told how these alerts are now."""
    db.execute(
        "UPDATE alert SET told_rank = greatest(told_rank, rank), told_at = %s,"
        " told_end = ended_at IS NOT NULL WHERE id = ANY(%s)",
        [now, list(alerts)],
    )


def recently(db: Connection, since: datetime) -> int:
    """Return of how many alerts mail has told something since an instant."""
    row = db.execute("SELECT count(*) FROM alert WHERE told_at > %s", [since]).fetchone()
    return int(row[0]) if row else 0


def forget(db: Connection, before: datetime) -> None:
    """Delete alerts that ended long ago."""
    db.execute("DELETE FROM alert WHERE ended_at < %s", [before])


def digest_at(db: Connection) -> datetime | None:
    """Return when the weekly mail was sent last."""
    row = db.execute("SELECT last_at FROM digest").fetchone()
    return row[0] if row else None


def digested(db: Connection, now: datetime) -> None:
    """Note that the weekly mail is sent."""
    db.execute(
        "INSERT INTO digest (last_at) VALUES (%s) ON CONFLICT (single)"
        " DO UPDATE SET last_at = excluded.last_at",
        [now],
    )
