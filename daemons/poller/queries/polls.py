"""SQL: PBXs, their schedule, and their polls."""

from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Pbx:
    """What is needed to poll a PBX."""

    id: int
    uid: UUID
    kind: str
    name: str
    url: str
    certificate: str | None
    token_sealed: bytes
    timezone: str
    poll_minutes: int
    poll_at: time


@dataclass(frozen=True)
class Poll:
    """A running poll."""

    id: int
    pbx_id: int
    state: str
    started_at: datetime
    listed_at: datetime | None


_PBX = (
    "SELECT id, uid, kind, name, url, certificate, token_sealed, timezone, poll_minutes, poll_at"
    " FROM pbx"
)


def pbx(db: Connection, pbx_id: int) -> Pbx:
    """Return a PBX."""
    with db.cursor(row_factory=class_row(Pbx)) as cursor:
        row = cursor.execute(f"{_PBX} WHERE id = %s", [pbx_id]).fetchone()
    assert row is not None
    return row


def active_pbxs(db: Connection) -> list[Pbx]:
    """Return the PBXs that are polled."""
    with db.cursor(row_factory=class_row(Pbx)) as cursor:
        return cursor.execute(f"{_PBX} WHERE state = 'active' ORDER BY id").fetchall()


def is_active(db: Connection, pbx_id: int) -> bool:
    """Is this PBX polled, and are its recordings fetched?"""
    row = db.execute("SELECT state = 'active' FROM pbx WHERE id = %s", [pbx_id]).fetchone()
    return bool(row and row[0])


def scheduled(db: Connection) -> set[int]:
    """Return the ids of the PBXs that have a schedule."""
    return {row[0] for row in db.execute("SELECT pbx_id FROM poll_schedule")}


def schedule(db: Connection, pbx_id: int, when: datetime, failures: int = 0) -> None:
    """Set the next poll of a PBX; a request for an immediate one is thereby met."""
    db.execute(
        "INSERT INTO poll_schedule (pbx_id, next_poll_at, failures) VALUES (%s, %s, %s)"
        " ON CONFLICT (pbx_id) DO UPDATE SET next_poll_at = excluded.next_poll_at,"
        " failures = excluded.failures, requested_at = NULL",
        [pbx_id, when, failures],
    )


def reschedule(db: Connection, pbx_id: int, when: datetime, failures: int = 0) -> None:
    """Set the next poll and leave a request for an immediate one as it is."""
    db.execute(
        "UPDATE poll_schedule SET next_poll_at = %s, failures = %s WHERE pbx_id = %s",
        [when, failures, pbx_id],
    )


def failures(db: Connection, pbx_id: int) -> int:
    """Return how many polls of a PBX failed in a row."""
    row = db.execute("SELECT failures FROM poll_schedule WHERE pbx_id = %s", [pbx_id]).fetchone()
    return int(row[0]) if row else 0


def succeeded(db: Connection, pbx_id: int) -> None:
    """Note that a poll of a PBX listed all its companies."""
    db.execute("UPDATE poll_schedule SET failures = 0 WHERE pbx_id = %s AND failures > 0", [pbx_id])


def request(db: Connection, pbx_id: int) -> None:
    """Note that an immediate poll is wanted."""
    db.execute(
        "UPDATE poll_schedule SET requested_at = coalesce(requested_at, now()) WHERE pbx_id = %s",
        [pbx_id],
    )


@dataclass(frozen=True)
class Due:
    """A PBX whose poll should begin, and why."""

    pbx_id: int
    failures: int
    trigger: str


def due(db: Connection, now: datetime) -> Due | None:
    """Return a PBX that is due and has no running poll."""
    with db.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            "SELECT s.pbx_id, s.failures, (CASE WHEN s.requested_at IS NOT NULL THEN 'request'"
            " WHEN s.failures > 0 THEN 'retry' WHEN NOT EXISTS (SELECT FROM poll p"
            " WHERE p.pbx_id = s.pbx_id AND p.state = 'finished') THEN 'first'"
            " ELSE 'schedule' END) AS trigger"
            " FROM poll_schedule s JOIN pbx ON pbx.id = s.pbx_id"
            " WHERE pbx.state = 'active' AND (s.requested_at IS NOT NULL OR s.next_poll_at <= %s)"
            " AND NOT EXISTS (SELECT FROM poll p"
            " WHERE p.pbx_id = s.pbx_id AND p.finished_at IS NULL)"
            " ORDER BY s.next_poll_at LIMIT 1",
            [now],
        ).fetchone()


def begin(db: Connection, pbx_id: int, trigger: str) -> int:
    """Insert a running poll and return its id."""
    row = db.execute(
        "INSERT INTO poll (pbx_id, trigger) VALUES (%s, %s) RETURNING id", [pbx_id, trigger]
    ).fetchone()
    assert row is not None
    return int(row[0])


def running(db: Connection) -> list[Poll]:
    """Return the running polls."""
    with db.cursor(row_factory=class_row(Poll)) as cursor:
        return cursor.execute(
            "SELECT id, pbx_id, state::text, started_at, listed_at FROM poll"
            " WHERE finished_at IS NULL ORDER BY id"
        ).fetchall()


def fail(db: Connection, poll_id: int, error: str) -> None:
    """End a poll that could not list."""
    db.execute(
        "UPDATE poll SET state = 'failed', finished_at = now(), error = %s WHERE id = %s",
        [error, poll_id],
    )


def errors(db: Connection, poll_id: int) -> int:
    """Return how many companies of a poll could not be listed."""
    row = db.execute(
        "SELECT count(*) FROM poll_company WHERE poll_id = %s AND polled IS NULL", [poll_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def fetching(db: Connection, poll_id: int) -> None:
    """Note that listing is complete and the archivers are at work."""
    db.execute("UPDATE poll SET state = 'fetching', listed_at = now() WHERE id = %s", [poll_id])


def untried(db: Connection, poll_id: int) -> bool:
    """Does a recording that this poll found wait for its first attempt?"""
    row = db.execute(
        "SELECT EXISTS (SELECT FROM recording WHERE poll_id = %s AND next_try_at IS NOT NULL"
        " AND attempts = 0)",
        [poll_id],
    ).fetchone()
    return bool(row and row[0])


def last_progress(db: Connection, poll_id: int) -> datetime | None:
    """Return when an archiver last did something for this poll."""
    row = db.execute("SELECT max(last_at) FROM poll_tally WHERE poll_id = %s", [poll_id]).fetchone()
    return row[0] if row else None


def why_waiting(db: Connection, poll_id: int) -> str | None:
    """Return in words why most of what this poll found and is not stored waits."""
    row = db.execute(
        "SELECT coalesce(r.last_error, CASE WHEN p.state = 'suspended'"
        " THEN 'the PBX was suspended: the rest waits' END, c.error, 'not tried yet')"
        " FROM recording r JOIN pbx p ON p.id = r.pbx_id"
        " LEFT JOIN pbx_contact c ON c.pbx_id = r.pbx_id AND c.failures > 0"
        " WHERE r.poll_id = %s AND r.next_try_at IS NOT NULL AND r.state = 'listed'"
        " GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        [poll_id],
    ).fetchone()
    return str(row[0]) if row else None


def finish(db: Connection, poll_id: int, error: str | None) -> int:
    """End a poll, count per company what could not be fetched so far, and return the sum."""
    row = db.execute(
        "WITH waiting AS (SELECT company_id, count(*) AS failed FROM recording"
        " WHERE poll_id = %(poll)s AND next_try_at IS NOT NULL AND state = 'listed'"
        " GROUP BY company_id),"
        " done AS (UPDATE poll_company pc SET failed = coalesce(waiting.failed, 0)"
        " FROM poll_company other LEFT JOIN waiting USING (company_id)"
        " WHERE pc.poll_id = %(poll)s AND other.poll_id = pc.poll_id"
        " AND other.company_id = pc.company_id AND pc.polled IS NOT NULL),"
        " ended AS (UPDATE poll SET state = 'finished', finished_at = now(), error = %(error)s"
        " WHERE id = %(poll)s) SELECT coalesce(sum(failed), 0) FROM waiting",
        {"poll": poll_id, "error": error},
    ).fetchone()
    assert row is not None
    return int(row[0])
