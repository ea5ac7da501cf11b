"""SQL: deletions, each batch decided and done in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row, dict_row

from common import expiry
from common.db import Connection


@dataclass(frozen=True)
class Company:
    """A company whose recordings may have to go: `months` is its limit, 0 none."""

    id: int
    months: int
    is_deleted: bool
    asked_by: str


HELD = (  # does a hold cover a recording r?
    "EXISTS (SELECT FROM legal_hold h WHERE h.released_at IS NULL AND covers(h, r.company_id,"
    " r.started_at, digits(r.caller), digits(r.callee), r.parties))"
)
_COMPANY = (
    "SELECT c.id, coalesce(c.keep_months, p.keep_months) AS months,"
    " c.state = 'delete_pending' AS is_deleted,"
    " coalesce(c.delete_requested_by, 'housekeeper') AS asked_by FROM company c"
    " JOIN pbx p ON p.id = c.pbx_id"
)


def companies(db: Connection) -> list[Company]:
    """Return the companies that have a limit or are to be deleted."""
    query = (
        f"{_COMPANY} WHERE coalesce(c.keep_months, p.keep_months) > 0 OR c.state = 'delete_pending'"
        " ORDER BY c.id"
    )
    with db.cursor(row_factory=class_row(Company)) as cursor:
        return cursor.execute(query).fetchall()


def company(db: Connection, company_id: int) -> Company | None:
    """Return a company as it is now."""
    with db.cursor(row_factory=class_row(Company)) as cursor:
        return cursor.execute(f"{_COMPANY} WHERE c.id = %s", [company_id]).fetchone()


@dataclass(frozen=True)
class Run:
    """A deletion that runs."""

    id: int
    asked_by: str
    started_at: datetime


def running(db: Connection) -> Run | None:
    """Return the deletion that runs."""
    with db.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            "SELECT id, asked_by, started_at FROM purge WHERE state = 'running'"
        ).fetchone()


def last_start(db: Connection) -> datetime | None:
    """Return when the last deletion began that was not asked for by anybody; where there was none,
    since when there are companies; None: there are none.
    """
    row = db.execute(
        "SELECT coalesce((SELECT max(started_at) FROM purge WHERE asked_by = 'housekeeper'),"
        " (SELECT min(created_at) FROM company))"
    ).fetchone()
    return row[0] if row else None


def archived(db: Connection) -> int:
    """Return how many recordings are stored."""
    row = db.execute("SELECT coalesce(sum(calls), 0)::bigint FROM company_usage").fetchone()
    return int(row[0]) if row else 0


def use_permit(db: Connection, now: datetime, calls: int) -> bool:
    """Use up a permit for so many calls; false where there is none that is large and new enough."""
    query = "DELETE FROM purge_permit WHERE granted_at > %s RETURNING calls"
    row = db.execute(query, [now - timedelta(days=1)]).fetchone()
    return row is not None and calls <= int(row[0]) + max(10, int(row[0]) // 100)


def begin(
    db: Connection, asked_by: str, now: datetime, archive: int, calls: int, size: int, held: int,
    *, is_braked: bool,
) -> int:  # fmt: skip
    """Insert a deletion, which the brake may have ended before it began; return its id."""
    row = db.execute(
        "INSERT INTO purge (asked_by, state, started_at, finished_at, archive_calls, planned_calls,"
        " planned_bytes, held_calls) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            asked_by, "braked" if is_braked else "running", now, now if is_braked else None,
            archive, calls, size, held,
        ],
    ).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0])


def end(db: Connection, run: int, now: datetime) -> tuple[int, int]:
    """Note that a deletion is finished; return how many calls and bytes it deleted."""
    row = db.execute(
        "UPDATE purge SET state = 'finished', finished_at = %s WHERE id = %s"
        " RETURNING deleted_calls, deleted_bytes",
        [now, run],
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


@dataclass(frozen=True)
class Doomed:
    """A recording that is locked for deletion; `generation` is None where no file is stored."""

    id: UUID
    started_at: datetime
    generation: int | None
    bytes: int


def lock(db: Connection, recordings: Sequence[UUID]) -> list[Doomed]:
    """Lock recordings, but for those that somebody works on."""
    with db.cursor(row_factory=class_row(Doomed)) as cursor:
        return cursor.execute(
            "SELECT r.id, r.started_at, a.generation, coalesce(a.file_size, 0) AS bytes"
            " FROM recording r LEFT JOIN recording_audio a ON a.recording_id = r.id"
            " WHERE r.id = ANY(%s) FOR UPDATE OF r SKIP LOCKED",
            [list(recordings)],
        ).fetchall()


_DELETE = (  # one statement: what refers to a row goes with it, and the keys are checked at its end
    "WITH visits AS (DELETE FROM link_visit v USING link l WHERE l.id = v.link_id"
    " AND l.recording_id = ANY(%(ids)s::uuid[])),"
    " links AS (DELETE FROM link WHERE recording_id = ANY(%(ids)s::uuid[])),"
    " notes AS (DELETE FROM call_note WHERE recording_id = ANY(%(ids)s::uuid[])),"
    " owners AS (DELETE FROM recording_owner WHERE recording_id = ANY(%(ids)s::uuid[])),"
    " due AS (DELETE FROM ownership_due WHERE recording_id = ANY(%(ids)s::uuid[])),"
    " audio AS (DELETE FROM recording_audio WHERE recording_id = ANY(%(ids)s::uuid[])),"
    " recordings AS (DELETE FROM recording WHERE id = ANY(%(ids)s::uuid[])),"
    " stones AS (INSERT INTO tombstone (recording_id, company_id, purge_id, reason, asked_by)"
    " SELECT unnest(%(ids)s::uuid[]), %(company)s, %(run)s, %(reason)s, %(asked_by)s),"
    " names AS (INSERT INTO unlink_pending (path) SELECT unnest(%(paths)s::text[])"
    " ON CONFLICT DO NOTHING),"
    " totals AS (INSERT INTO company_usage AS u (company_id, instance, calls, bytes)"
    " VALUES (%(company)s, 0, -%(stored)s::bigint, -%(size)s::bigint)"
    " ON CONFLICT (company_id, instance) DO UPDATE SET calls = u.calls + excluded.calls,"
    " bytes = u.bytes + excluded.bytes)"
    " UPDATE purge SET deleted_calls = deleted_calls + cardinality(%(ids)s::uuid[]),"
    " deleted_bytes = deleted_bytes + %(size)s::bigint WHERE id = %(run)s"
)


def delete(
    db: Connection, run: int, of: Company, reason: str, doomed: Sequence[Doomed],
    paths: Sequence[str],
) -> None:  # fmt: skip
    """Delete recordings with all that is known of them and their keys; their files go later."""
    stored = sum(one.generation is not None for one in doomed)
    db.execute(
        _DELETE,
        {
            "ids": [one.id for one in doomed], "paths": list(paths), "company": of.id, "run": run,
            "reason": reason, "stored": stored, "size": sum(one.bytes for one in doomed),
            "asked_by": of.asked_by if reason == "company" else "housekeeper",
        },
    )  # fmt: skip


def of_company(
    db: Connection, company_id: int, after: tuple[datetime, UUID] | None, limit: int
) -> list[expiry.Due]:
    """Return recordings of a company that no hold covers, the oldest first, beyond the key of a
    row.
    """
    beyond = "AND (r.started_at, r.id) > (%(started)s, %(id)s)" if after else ""
    started, recording = after or (None, None)
    query = (
        "SELECT r.id, r.started_at, 0::bigint AS bytes FROM recording r"
        f" WHERE r.company_id = %(company)s {beyond} AND NOT {HELD}"
        " ORDER BY r.started_at, r.id LIMIT %(limit)s"
    )
    arguments = {"company": company_id, "started": started, "id": recording, "limit": limit}
    with db.cursor(row_factory=class_row(expiry.Due)) as cursor:
        return cursor.execute(query, arguments).fetchall()


@dataclass(frozen=True)
class Plan:
    """What a company to be deleted holds: recordings, bytes, and how many are on hold."""

    calls: int
    bytes: int
    held: int


def plan_company(db: Connection, company_id: int) -> Plan:
    """Sum up what a company to be deleted holds."""
    with db.cursor(row_factory=class_row(Plan)) as cursor:
        found = cursor.execute(
            "SELECT count(*) FILTER (WHERE NOT held) AS calls,"
            " coalesce(sum(size) FILTER (WHERE NOT held), 0)::bigint AS bytes,"
            " count(*) FILTER (WHERE held) AS held FROM (SELECT coalesce(a.file_size, 0) AS size,"
            f" {HELD} AS held FROM recording r LEFT JOIN recording_audio a ON a.recording_id = r.id"
            " WHERE r.company_id = %s) t",
            [company_id],
        ).fetchone()
    assert found is not None
    return found


def end_company(db: Connection, run: int, company_id: int) -> dict[str, object] | None:
    """Delete a company that has no recordings left, with its keys; None where it has some.

    Returns what its certificate of destruction says.
    """
    if db.execute("SELECT 1 FROM recording WHERE company_id = %s LIMIT 1", [company_id]).fetchone():
        return None
    with db.cursor(row_factory=dict_row) as cursor:
        gone = cursor.execute(
            "SELECT c.uid::text AS id, c.name, c.label, p.url AS pbx,"
            " (SELECT count(*) FROM tombstone WHERE company_id = c.id) AS recordings,"
            " (SELECT coalesce(array_agg(kid ORDER BY version), '{}') FROM company_key"
            " WHERE company_id = c.id) AS keys"
            " FROM company c JOIN pbx p ON p.id = c.pbx_id WHERE c.id = %s",
            [company_id],
        ).fetchone()
    for table in (
        "ownership_due", "extension_owner", "poll_tally", "poll_company", "company_usage",
        "company_key", "listing_day", "completeness",
    ):  # fmt: skip
        db.execute(f"DELETE FROM {table} WHERE company_id = %s", [company_id])
    db.execute("DELETE FROM company WHERE id = %s", [company_id])
    db.execute("UPDATE purge SET companies = companies + 1 WHERE id = %s", [run])
    return gone


def files(db: Connection, limit: int) -> list[str]:
    """Lock and return files to remove."""
    rows = db.execute(
        "SELECT path FROM unlink_pending ORDER BY path LIMIT %s FOR UPDATE SKIP LOCKED", [limit]
    ).fetchall()
    return [str(row[0]) for row in rows]


def removed(db: Connection, paths: Sequence[str]) -> None:
    """Note that files are removed."""
    db.execute("DELETE FROM unlink_pending WHERE path = ANY(%s)", [list(paths)])


def note(db: Connection, action: str, subject: str, detail: str) -> None:
    """Append to the audit log what the housekeeper did; `detail` is JSON."""
    db.execute(
        "INSERT INTO audit (actor, action, subject, detail) VALUES ('housekeeper', %s, %s, %s)",
        [action, subject, detail],
    )
