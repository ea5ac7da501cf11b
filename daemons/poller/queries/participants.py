"""SQL: the users of a PBX, whose extensions are whose, and who took part in which call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection


@dataclass(frozen=True)
class Look:
    """Whose an extension was (None: nobody's), from the first to the last look that said so."""

    extension: str
    since: datetime
    until: datetime
    user_id: int | None


@dataclass(frozen=True)
class Taken:
    """Who took part in a call: its direction, the names of its parties, whose own call it is."""

    direction: str | None
    caller_name: str
    callee_name: str
    users: frozenset[int]


def looks(db: Connection, company_id: int) -> list[Look]:
    """Return what is known of the extensions of a company, the oldest first."""
    with db.cursor(row_factory=class_row(Look)) as cursor:
        return cursor.execute(
            "SELECT extension, since, until, user_id FROM extension_owner WHERE company_id = %s"
            " ORDER BY extension, since",
            [company_id],
        ).fetchall()


def note(db: Connection, company_id: int, changed: Sequence[Look]) -> None:
    """Insert new looks and move the end of known ones."""
    db.execute(
        "INSERT INTO extension_owner (company_id, extension, since, until, user_id)"
        " SELECT %s, * FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::integer[])"
        " ON CONFLICT (company_id, extension, since) DO UPDATE SET until = excluded.until",
        [
            company_id,
            [look.extension for look in changed],
            [look.since for look in changed],
            [look.until for look in changed],
            [look.user_id for look in changed],
        ],
    )


def users(db: Connection, pbx_id: int, remote_ids: Iterable[str]) -> dict[str, int]:
    """Return our ids of users of a PBX by theirs; one who is not known yet becomes so."""
    wanted = sorted(remote_ids)
    db.execute(
        "INSERT INTO pbx_user (pbx_id, remote_id) SELECT %s, unnest(%s::text[])"
        " ON CONFLICT (pbx_id, remote_id) DO NOTHING",
        [pbx_id, wanted],
    )
    query = "SELECT remote_id, id FROM pbx_user WHERE pbx_id = %s AND remote_id = ANY(%s)"
    return dict(db.execute(query, [pbx_id, wanted]).fetchall())


def name(db: Connection, names: Mapping[int, str], wanted: Sequence[int]) -> dict[int, str]:
    """Note the names of users, and return those of all that are wanted."""
    db.execute(
        "UPDATE pbx_user u SET name = t.name FROM unnest(%s::integer[], %s::text[]) AS t (id, name)"
        " WHERE u.id = t.id AND u.name <> t.name AND t.name <> ''",
        [list(names), list(names.values())],
    )
    return dict(db.execute("SELECT id, name FROM pbx_user WHERE id = ANY(%s)", [wanted]).fetchall())


@dataclass(frozen=True)
class Waiting:
    """A recording of which nobody knows yet who took part."""

    id: UUID
    started_at: datetime
    caller: str
    callee: str


def wait(db: Connection, company_id: int, recordings: Sequence[UUID]) -> None:
    """Note that the PBX has yet to say who took part in these."""
    db.execute(
        "INSERT INTO ownership_due (recording_id, company_id) SELECT unnest(%s::uuid[]), %s",
        [list(recordings), company_id],
    )


def waiting(db: Connection, company_id: int, limit: int) -> list[Waiting]:
    """Return recordings of a company that wait for it."""
    with db.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(
            "SELECT r.id, r.started_at, r.caller, r.callee FROM ownership_due d"
            " JOIN recording r ON r.id = d.recording_id WHERE d.company_id = %s LIMIT %s",
            [company_id, limit],
        ).fetchall()


def settle(db: Connection, recordings: Sequence[Waiting], taken: Sequence[Taken]) -> None:
    """Note who took part in recordings that waited for it."""
    ids = [recording.id for recording in recordings]
    db.execute(
        "UPDATE recording r SET direction = coalesce(t.direction::call_direction, r.direction),"
        " caller_name = t.caller, callee_name = t.callee"
        " FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])"
        " AS t (id, direction, caller, callee) WHERE r.id = t.id",
        [
            ids,
            [one.direction for one in taken],
            [one.caller_name for one in taken],
            [one.callee_name for one in taken],
        ],
    )
    own(db, ids, taken)
    db.execute("DELETE FROM ownership_due WHERE recording_id = ANY(%s)", [ids])


def own(db: Connection, recordings: Sequence[UUID], taken: Sequence[Taken]) -> None:
    """Note whose own calls these recordings are."""
    pairs = [
        (recording, user)
        for recording, one in zip(recordings, taken, strict=True)
        for user in sorted(one.users)
    ]
    db.execute(
        "INSERT INTO recording_owner (recording_id, user_id, started_at)"
        " SELECT r.id, t.user_id, r.started_at FROM unnest(%s::uuid[], %s::integer[])"
        " AS t (id, user_id) JOIN recording r ON r.id = t.id",
        [[recording for recording, _ in pairs], [user for _, user in pairs]],
    )
