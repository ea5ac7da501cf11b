"""Every SQL statement of the poller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection
from common.keys import CompanyKey
from common.pbx import RemoteRecording


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


@dataclass(frozen=True)
class Company:
    """A company of a running poll that has not been listed in it yet."""

    id: int
    uid: UUID
    name: str
    state: str
    listed_until: datetime | None
    complete_at: datetime | None
    has_key: bool


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


def note_companies(
    db: Connection, poll_id: int, pbx_id: int, names: Sequence[str], labels: Sequence[str]
) -> tuple[int, int]:
    """Make the company list what the PBX says it is; return how many are new and re-activated.

    Companies that left the list become suspended, ones that are back active; one that is marked for
    deletion stays so.
    """
    arguments = {"poll": poll_id, "pbx": pbx_id, "names": list(names), "labels": list(labels)}
    db.execute(
        "UPDATE company SET state = 'suspended'"
        " WHERE pbx_id = %(pbx)s AND state = 'active' AND name <> ALL(%(names)s::text[])",
        arguments,
    )
    back = db.execute(
        "WITH back AS (UPDATE company SET state = 'active' WHERE pbx_id = %(pbx)s"
        " AND state = 'suspended' AND name = ANY(%(names)s::text[]) RETURNING id)"
        " INSERT INTO poll_company (poll_id, company_id, reactivated)"
        " SELECT %(poll)s, id, true FROM back",
        arguments,
    ).rowcount
    new = db.execute(
        "WITH new AS (INSERT INTO company (pbx_id, name, label)"
        " SELECT %(pbx)s, name, label FROM unnest(%(names)s::text[], %(labels)s::text[]) AS t"
        " (name, label)"
        " ON CONFLICT (pbx_id, name) DO NOTHING RETURNING id)"
        " INSERT INTO poll_company (poll_id, company_id, first_seen)"
        " SELECT %(poll)s, id, true FROM new",
        arguments,
    ).rowcount
    db.execute(
        "UPDATE company SET label = t.label"
        " FROM unnest(%(names)s::text[], %(labels)s::text[]) AS t (name, label)"
        " WHERE company.pbx_id = %(pbx)s AND company.name = t.name AND company.label <> t.label",
        arguments,
    )
    db.execute(
        "INSERT INTO poll_company (poll_id, company_id)"
        " SELECT %(poll)s, id FROM company WHERE pbx_id = %(pbx)s AND state = 'active'"
        " AND name = ANY(%(names)s::text[]) ON CONFLICT DO NOTHING",
        arguments,
    )
    return new, back


def unlisted(db: Connection, poll_id: int) -> Company | None:
    """Return a company that this poll has not listed yet."""
    with db.cursor(row_factory=class_row(Company)) as cursor:
        return cursor.execute(
            "SELECT c.id, c.uid, c.name, c.state::text, c.listed_until, c.complete_at,"
            " EXISTS (SELECT FROM company_key k WHERE k.company_id = c.id AND k.retired_at IS NULL)"
            " AS has_key FROM poll_company pc JOIN company c ON c.id = pc.company_id"
            " WHERE pc.poll_id = %s AND pc.polled IS NULL AND pc.error IS NULL"
            " ORDER BY c.id LIMIT 1",
            [poll_id],
        ).fetchone()


def public_key(db: Connection, name: str) -> bytes:
    """Return a sealing key."""
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = %s", [name]).fetchone()
    assert row is not None, f"no sealing key {name}: run 'callstash init'"
    return bytes(row[0])


def add_key(db: Connection, company_id: int, key: CompanyKey) -> None:
    """Give a company its current key pair."""
    db.execute(
        "INSERT INTO company_key (company_id, version, kid, public_key, private_sealed)"
        " VALUES (%s, %s, %s, %s, %s)",
        [company_id, key.version, key.kid, key.public_key, key.private_sealed],
    )


def list_recordings(
    db: Connection,
    poll_id: int,
    pbx_id: int,
    company_id: int,
    rows: Sequence[RemoteRecording],
    ids: Sequence[UUID],
    settle_seconds: int,
) -> int:
    """Insert the recordings that are not known yet as listed and return how many those were.

    A call that ended just now may still be written to: it waits `settle_seconds` after its end. One
    that is known, but now has another size or duration, or was given up, is fetched (again).
    """
    arguments = {
        "poll": poll_id,
        "pbx": pbx_id,
        "company": company_id,
        "settle": settle_seconds,
        "ids": list(ids),
        "remotes": [row.remote_id for row in rows],
        "starts": [row.started_at for row in rows],
        "durations": [row.duration for row in rows],
        "callers": [row.caller for row in rows],
        "callees": [row.callee for row in rows],
        "directions": [row.direction for row in rows],
        "sizes": [row.size for row in rows],
    }
    new = db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at, duration,"
        " caller, callee, direction, listed_size, next_try_at)"
        " SELECT id, %(pbx)s, %(company)s, remote, %(poll)s, start, duration, caller, callee,"
        " direction::call_direction, size, greatest(now(),"
        " start + (duration + %(settle)s) * interval '1 second')"
        " FROM unnest(%(ids)s::uuid[], %(remotes)s::text[], %(starts)s::timestamptz[],"
        " %(durations)s::integer[], %(callers)s::text[], %(callees)s::text[],"
        " %(directions)s::text[], %(sizes)s::bigint[])"
        " AS t (id, remote, start, duration, caller, callee, direction, size)"
        " ON CONFLICT (company_id, remote_id) DO NOTHING",
        arguments,
    ).rowcount
    if new < len(rows):
        db.execute(
            "WITH changed AS (SELECT r.id, t.duration, t.size FROM recording r"
            " JOIN unnest(%(remotes)s::text[], %(durations)s::integer[], %(sizes)s::bigint[])"
            " AS t (remote, duration, size) ON r.company_id = %(company)s AND r.remote_id ="
            " t.remote"
            " WHERE r.state = 'gone'"
            " OR (r.duration, r.listed_size) IS DISTINCT FROM (t.duration, t.size)"
            " FOR UPDATE OF r SKIP LOCKED)"
            " UPDATE recording r SET duration = changed.duration, listed_size = changed.size,"
            " state = CASE WHEN r.state = 'gone' THEN 'listed' ELSE r.state END,"
            " attempts = 0, next_try_at = now() + %(settle)s * interval '1 second'"
            " FROM changed WHERE r.id = changed.id",
            arguments,
        )
    return new


def company_listed(
    db: Connection, poll_id: int, company_id: int, polled: int, new: int, error: str | None
) -> None:
    """Note what the PBX listed; `error` tells of rows that could not be used."""
    db.execute(
        "UPDATE poll_company SET polled = %s, new = %s, error = %s"
        " WHERE poll_id = %s AND company_id = %s",
        [polled, new, error, poll_id, company_id],
    )


def company_listed_until(db: Connection, company_id: int, until: datetime, complete: bool) -> None:
    """Move the end of what is listed of a company."""
    db.execute(
        "UPDATE company SET listed_until = %(until)s,"
        " complete_at = CASE WHEN %(complete)s THEN %(until)s ELSE complete_at END"
        " WHERE id = %(company)s",
        {"until": until, "complete": complete, "company": company_id},
    )


def company_failed(db: Connection, poll_id: int, company_id: int, error: str) -> None:
    """Note that a company could not be listed in this poll."""
    db.execute(
        "UPDATE poll_company SET error = %s WHERE poll_id = %s AND company_id = %s",
        [error, poll_id, company_id],
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
        "SELECT coalesce(r.last_error, c.error, 'not tried yet') FROM recording r"
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
