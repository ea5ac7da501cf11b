"""SQL: the companies of a PBX and the recordings that it lists of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection
from common.keys import OwnKey
from common.pbx import RemoteRecording
from daemons.poller.queries import participants
from daemons.poller.queries.participants import Taken


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


@dataclass(frozen=True)
class Noted:
    """What a list of companies changed: ids of new and re-activated ones, how many left it."""

    new: list[int]
    back: list[int]
    gone: int


def note_companies(
    db: Connection, pbx_id: int, names: Sequence[str], labels: Sequence[str]
) -> Noted:
    """Make the company list what the PBX says it is.

    Companies that left the list become suspended, ones that are back active; one that is marked for
    deletion stays so.
    """
    arguments = {"pbx": pbx_id, "names": list(names), "labels": list(labels)}
    gone = db.execute(
        "UPDATE company SET state = 'suspended'"
        " WHERE pbx_id = %(pbx)s AND state = 'active' AND name <> ALL(%(names)s::text[])",
        arguments,
    ).rowcount
    back = db.execute(
        "UPDATE company SET state = 'active' WHERE pbx_id = %(pbx)s"
        " AND state = 'suspended' AND name = ANY(%(names)s::text[]) RETURNING id",
        arguments,
    ).fetchall()
    new = db.execute(
        "INSERT INTO company (pbx_id, name, label)"
        " SELECT %(pbx)s, name, label FROM unnest(%(names)s::text[], %(labels)s::text[]) AS t"
        " (name, label)"
        " ON CONFLICT (pbx_id, name) DO NOTHING RETURNING id",
        arguments,
    ).fetchall()
    db.execute(
        "UPDATE company SET label = t.label"
        " FROM unnest(%(names)s::text[], %(labels)s::text[]) AS t (name, label)"
        " WHERE company.pbx_id = %(pbx)s AND company.name = t.name AND company.label <> t.label",
        arguments,
    )
    return Noted([row[0] for row in new], [row[0] for row in back], gone)


def poll_companies(
    db: Connection, poll_id: int, pbx_id: int, names: Sequence[str], noted: Noted
) -> None:
    """Insert what a poll has to list: the active companies with these names."""
    db.execute(
        "INSERT INTO poll_company (poll_id, company_id, first_seen, reactivated)"
        " SELECT %s, id, id = ANY(%s), id = ANY(%s) FROM company"
        " WHERE pbx_id = %s AND state = 'active' AND name = ANY(%s::text[])",
        [poll_id, noted.new, noted.back, pbx_id, list(names)],
    )


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


def master_key(db: Connection) -> bytes:
    """Return the public half of the master key, which nobody replaces until the commit."""
    db.execute("SELECT pg_advisory_xact_lock_shared(hashtext('callstash.master'))")
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = 'master'").fetchone()
    assert row is not None, "no master key: run 'callstash init'"
    return bytes(row[0])


def add_key(db: Connection, company_id: int, key: OwnKey) -> None:
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
    taken: Sequence[Taken] | None,
    settle_seconds: int,
) -> int:
    """Insert the recordings that are not known yet as listed and return how many those were.

    `taken` is who took part in each of them; None where the PBX has yet to say. A call that ended
    just now may still be written to: it waits `settle_seconds` after its end. One that is known,
    but now has another size or duration, or was given up, is fetched (again).
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
        "caller_names": [""] * len(rows),
        "callee_names": [""] * len(rows),
        "sizes": [row.size for row in rows],
    }
    if taken is not None:
        arguments |= {
            "directions": [
                row.direction or one.direction for row, one in zip(rows, taken, strict=True)
            ],
            "caller_names": [one.caller_name for one in taken],
            "callee_names": [one.callee_name for one in taken],
        }
    inserted = db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at, duration,"
        " caller, callee, direction, caller_name, callee_name, listed_size, next_try_at)"
        " SELECT id, %(pbx)s, %(company)s, remote, %(poll)s, start, duration, caller, callee,"
        " direction::call_direction, caller_name, callee_name, size, greatest(now(),"
        " start + (duration + %(settle)s) * interval '1 second')"
        " FROM unnest(%(ids)s::uuid[], %(remotes)s::text[], %(starts)s::timestamptz[],"
        " %(durations)s::integer[], %(callers)s::text[], %(callees)s::text[],"
        " %(directions)s::text[], %(caller_names)s::text[], %(callee_names)s::text[],"
        " %(sizes)s::bigint[])"
        " AS t (id, remote, start, duration, caller, callee, direction, caller_name, callee_name,"
        " size) ON CONFLICT (company_id, remote_id) DO NOTHING RETURNING id",
        arguments,
    ).fetchall()
    new = [row[0] for row in inserted]
    if taken is None:
        participants.wait(db, company_id, new)
    else:
        by_id = dict(zip(ids, taken, strict=True))
        participants.own(db, new, [by_id[recording] for recording in new])
    if len(new) < len(rows):
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
    return len(new)


def count_days(db: Connection, company_id: int, days: Mapping[date, int]) -> None:
    """Note how many recordings a complete listing has of each day."""
    db.execute(
        "INSERT INTO listing_day AS l (company_id, day, listed)"
        " SELECT %s, day, listed FROM unnest(%s::date[], %s::integer[]) AS t (day, listed)"
        " ON CONFLICT (company_id, day) DO UPDATE SET"
        " listed = greatest(l.listed, excluded.listed)",
        [company_id, list(days), list(days.values())],
    )


def count_refused(db: Connection, company_id: int, day: date, refused: int) -> None:
    """Note how many rows of today's listings can't be used; the last one counts."""
    db.execute(
        "INSERT INTO listing_day (company_id, day, listed, refused) VALUES (%s, %s, 0, %s)"
        " ON CONFLICT (company_id, day) DO UPDATE SET refused = excluded.refused",
        [company_id, day, refused],
    )


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
