"""What a client takes along: which recordings, the table of them, and the signature of the box.

An encrypted export needs no private key: the files as they lie, and the eCEK of each. The manifest
is written last and signed; it holds the SHA-256 of the table, which holds that of every file.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from psycopg.rows import class_row

from common import keys, pbx_registry, tables
from common.db import Connection
from common.errors import ConfigError
from common.playback import Audio

PAGE = 500  # calls that are read at a time
ALGORITHM = "cobblestone-256+RSA-OAEP-256"
# what programs read comes first and needs no quotes, so that a shell can cut it
COLUMNS = (
    "call_id", "file", "algorithm", "key_id", "ecek", "file_sha256", "audio_sha256", "file_bytes",
    "audio_bytes", "codec", "start", "seconds", "direction", "caller", "caller_name", "callee",
    "callee_name",
)  # fmt: skip


@dataclass(frozen=True)
class Company:
    """A company that leaves."""

    id: int
    uid: UUID
    name: str
    label: str
    url: str


@dataclass(frozen=True)
class Wanted:
    """Which of its calls: `until` is not included, `text` is a part of a number or name."""

    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


@dataclass(frozen=True)
class Call(Audio):
    """A stored recording with what is known of its call."""

    duration: int
    direction: str | None
    caller: str
    caller_name: str
    callee: str
    callee_name: str


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


_CALLS = (
    "SELECT a.recording_id, a.company_id, c.uid AS company_uid, r.started_at, a.generation,"
    " a.key_version, k.kid, k.private_sealed, a.ecek, a.file_size, a.file_sha256, a.audio_size,"
    " a.audio_sha256, a.mime, a.codec, a.channels, a.sample_rate, a.seconds, a.data_offset,"
    " a.data_size, a.peaks, r.duration, r.direction::text, r.caller, r.caller_name, r.callee,"
    " r.callee_name FROM recording r JOIN recording_audio a ON a.recording_id = r.id"
    " AND a.company_id = r.company_id JOIN company c ON c.id = r.company_id"
    " JOIN company_key k ON k.company_id = a.company_id AND k.version = a.key_version"
    " WHERE r.company_id = %(company)s AND r.state = 'stored'"
)
_WANTED = (
    " AND (%(since)s::timestamptz IS NULL OR r.started_at >= %(since)s)"
    " AND (%(until)s::timestamptz IS NULL OR r.started_at < %(until)s)"
    " AND (%(text)s::text IS NULL OR strpos(r.parties, plain(%(text)s)) > 0)"
)


def calls(db: Connection, company_id: int, wanted: Wanted) -> Iterator[Call]:
    """Yield the stored calls in the order of their start, a page at a time."""
    asked: dict[str, object] = {"company": company_id, "since": wanted.since, "until": wanted.until,
             "text": wanted.text, "limit": PAGE}  # fmt: skip
    beyond = ""
    while True:
        query = f"{_CALLS}{_WANTED}{beyond} ORDER BY r.started_at, r.id LIMIT %(limit)s"
        with db.cursor(row_factory=class_row(Call)) as cursor:
            found = cursor.execute(query, asked).fetchall()
        yield from found
        if len(found) < PAGE:
            return
        asked |= {"at": found[-1].started_at, "id": found[-1].recording_id}
        beyond = " AND (r.started_at, r.id) > (%(at)s, %(id)s)"


def call(db: Connection, company_id: int, recording_id: UUID) -> Call | None:
    """Return one stored call as it is now; None where it was deleted."""
    asked: dict[str, object] = {"company": company_id, "id": recording_id}
    with db.cursor(row_factory=class_row(Call)) as cursor:
        return cursor.execute(f"{_CALLS} AND r.id = %(id)s", asked).fetchone()


def total(db: Connection, company_id: int, wanted: Wanted) -> tuple[int, int]:
    """Return how many calls that is, and the bytes of their files."""
    row = db.execute(
        "SELECT count(*), coalesce(sum(a.file_size), 0)::bigint FROM recording r"
        " JOIN recording_audio a ON a.recording_id = r.id"
        f" WHERE r.company_id = %(company)s AND r.state = 'stored'{_WANTED}",
        {"company": company_id, "since": wanted.since, "until": wanted.until,
         "text": wanted.text},
    ).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0]), int(row[1])


def line(one: Call, file: str, kid: str, ecek: bytes, digest: bytes, size: int) -> str:
    """Return the line of a call in the table; what was typed by people stays on it."""
    people = (one.caller, one.caller_name, one.callee, one.callee_name)
    return tables.lines([[
        one.recording_id, file, ALGORITHM, kid, base64.b64encode(ecek).decode(), digest.hex(),
        one.audio_sha256.hex(), size, one.audio_size, one.codec, one.started_at, one.duration,
        one.direction, *(" ".join(text.split()) for text in people),
    ]])  # fmt: skip


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


class Signer:
    """Signs with the key of the box, which must be the one that `callstash init` wrote down."""

    def __init__(self, db: Connection, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        public = self._key.public_key()
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        raw = keys.signing_public_key(secret)
        row = db.execute("SELECT public_key FROM signing_key").fetchone()
        if row is None or bytes(row[0]) != raw:
            raise ConfigError("sign.key is not the key of this CallStash: run 'callstash init'")
        self.fingerprint = hashlib.sha256(raw).hexdigest()

    def sign(self, content: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(content)
