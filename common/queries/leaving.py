"""What is known of the calls that a client takes along."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from common import pbx_registry
from common.db import Connection
from common.errors import ConfigError
from common.leaving import Call, Company, CompanyKey, Listen, Total, Wanted

PAGE = 500  # calls that are read at a time


def company(db: Connection, name: str, url: str | None) -> Company:
    """Return the one company with this name or label, on the PBX at `url`. Raises ConfigError."""
    query = (
        "SELECT c.id, c.uid, c.name, c.label, p.url FROM company c JOIN pbx p ON p.id = c.pbx_id"
        " WHERE (c.name = %(name)s OR lower(c.label) = lower(%(name)s))"
        " AND (%(url)s::text IS NULL OR p.url = %(url)s) ORDER BY c.name = %(name)s DESC, c.id"
    )
    address = None if url is None else pbx_registry.address(url)
    if address and not db.execute("SELECT 1 FROM pbx WHERE url = %s", [address]).fetchone():
        known = [row[0] for row in db.execute("SELECT url FROM pbx ORDER BY id LIMIT 10")]
        raise ConfigError(f"there is no PBX {address}; there is {', '.join(known) or 'none yet'}")
    with db.cursor(row_factory=class_row(Company)) as cursor:
        found = cursor.execute(query, {"name": name, "url": address}).fetchall()
    exact = [one for one in found if one.name == name] or found
    if not exact:
        where = f" on {address}" if address else ""
        raise ConfigError(f"there is no company '{name}'{where}: see the page Companies for names")
    if len(exact) > 1:
        ids = "; ".join(f"{one.name} on {one.url}" for one in exact)
        raise ConfigError(f"'{name}' names more than one company: {ids}. Name and PBX decide")
    return exact[0]


def company_of(db: Connection, company_id: int) -> Company:
    """Return a company by its number."""
    with db.cursor(row_factory=class_row(Company)) as cursor:
        found = cursor.execute(
            "SELECT c.id, c.uid, c.name, c.label, p.url FROM company c"
            " JOIN pbx p ON p.id = c.pbx_id WHERE c.id = %s",
            [company_id],
        ).fetchone()
    assert found is not None
    return found


_CALLS = (
    "SELECT a.recording_id, a.company_id, c.uid AS company_uid, r.started_at, a.generation,"
    " a.key_version, k.kid, k.private_sealed, a.ecek, a.file_size, a.file_sha256, a.audio_size,"
    " a.audio_sha256, a.mime, a.codec, a.channels, a.sample_rate, a.seconds, a.data_offset,"
    " a.data_size, a.peaks, r.duration, r.direction::text, r.caller, r.caller_name, r.callee,"
    " r.callee_name, r.remote_id, r.listed_at, r.stored_at FROM recording r"
    " JOIN recording_audio a ON a.recording_id = r.id"
    " AND a.company_id = r.company_id JOIN company c ON c.id = r.company_id"
    " JOIN company_key k ON k.company_id = a.company_id AND k.version = a.key_version"
    " WHERE r.state = 'stored'"
)
_WANTED = (
    " AND r.company_id = %(company)s"
    " AND (%(since)s::timestamptz IS NULL OR r.started_at >= %(since)s)"
    " AND (%(until)s::timestamptz IS NULL OR r.started_at < %(until)s)"
    " AND (%(text)s::text IS NULL OR strpos(r.parties, plain(%(text)s)) > 0)"
)
# Bytes of a call as WAV, as common.transcode makes it.
_WAV = (
    "44 + CASE WHEN a.codec IN ('ulaw', 'alaw', 'pcm8') THEN a.data_size * 2"
    " WHEN a.codec = 'gsm' THEN a.data_size / 65 * 640"
    " WHEN a.codec = 'mp3' THEN (a.seconds * a.sample_rate)::bigint * a.channels * 2"
    " ELSE a.audio_size END"
)


def _asked(company_id: int, wanted: Wanted) -> dict[str, object]:
    return {"company": company_id, "since": wanted.since, "until": wanted.until,
            "text": wanted.text}  # fmt: skip


def calls(db: Connection, company_id: int, wanted: Wanted) -> Iterator[Call]:
    """Yield the stored calls in the order of their start, a page at a time."""
    after: tuple[datetime, UUID] | None = None
    while found := page(db, company_id, wanted, after, PAGE):
        yield from found
        after = found[-1].started_at, found[-1].recording_id


def page(
    db: Connection, company_id: int, wanted: Wanted, after: tuple[datetime, UUID] | None,
    limit: int, *, keyless: bool = False,
) -> list[Call]:  # fmt: skip
    """Return the stored calls after one in the order of their start; `keyless` without private
    keys, which not every process may read.
    """
    asked: dict[str, object] = {"limit": limit}
    beyond = ""
    if after is not None:
        asked |= {"at": after[0], "id": after[1]}
        beyond = " AND (r.started_at, r.id) > (%(at)s, %(id)s)"
    query = f"{_calls(keyless)}{_WANTED}{beyond} ORDER BY r.started_at, r.id LIMIT %(limit)s"
    with db.cursor(row_factory=class_row(Call)) as cursor:
        return cursor.execute(query, _asked(company_id, wanted) | asked).fetchall()


def _calls(keyless: bool) -> str:
    return (
        _CALLS.replace("k.private_sealed", "NULL::bytea AS private_sealed") if keyless else _CALLS
    )


def call(db: Connection, recording_id: UUID, *, keyless: bool = False) -> Call | None:
    """Return one stored call as it is now; None where there is none, or it was deleted."""
    with db.cursor(row_factory=class_row(Call)) as cursor:
        query = f"{_calls(keyless)} AND r.id = %(id)s"
        return cursor.execute(query, {"id": recording_id}).fetchone()


def total(db: Connection, company_id: int, wanted: Wanted) -> Total:
    """Return how many calls that is, and their bytes."""
    query = (
        "SELECT count(*) AS calls, coalesce(sum(a.file_size), 0)::bigint AS encrypted,"
        f" coalesce(sum({_WAV}), 0)::bigint AS wav FROM recording r"
        " JOIN recording_audio a ON a.recording_id = r.id AND a.company_id = r.company_id"
        f" WHERE r.state = 'stored'{_WANTED}"
    )
    with db.cursor(row_factory=class_row(Total)) as cursor:
        found = cursor.execute(query, _asked(company_id, wanted)).fetchone()
    assert found is not None
    return found


def company_keys(db: Connection, company_id: int) -> list[CompanyKey]:
    """Return the current key of a company, then the older ones that are kept, which open calls
    here or in what was handed over before.
    """
    query = (
        "SELECT version, kid, private_sealed FROM company_key WHERE company_id = %s"
        " ORDER BY retired_at IS NULL DESC, version DESC"
    )
    with db.cursor(row_factory=class_row(CompanyKey)) as cursor:
        return cursor.execute(query, [company_id]).fetchall()


def listens(db: Connection, recording_id: UUID) -> list[Listen]:
    """Return everybody who heard a call or took it along, the first first."""
    query = (
        "SELECT a.at, a.actor, a.action, l.recipient FROM audit a LEFT JOIN link l"
        " ON a.actor = 'link:' || l.id WHERE a.subject = %s AND a.action IN"
        " ('recording.play', 'recording.download', 'recording.evidence') ORDER BY a.at, a.id"
    )
    with db.cursor(row_factory=class_row(Listen)) as cursor:
        return cursor.execute(query, [f"recording:{recording_id}"]).fetchall()


def audit(db: Connection, by: str, action: str, subject: str, detail: str) -> None:
    """Write down who took what along; `detail` is JSON."""
    db.execute(
        "INSERT INTO audit (actor, action, subject, detail) VALUES (%s, %s, %s, %s::jsonb)",
        [by, action, subject, detail],
    )


def box(db: Connection) -> UUID:
    """Return the identity of this CallStash."""
    row = db.execute("SELECT id FROM box").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def signing_key(db: Connection) -> bytes | None:
    """Return the public half of the key with which this CallStash signs."""
    row = db.execute("SELECT public_key FROM signing_key").fetchone()
    return bytes(row[0]) if row else None
