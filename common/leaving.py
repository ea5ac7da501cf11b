"""What a client takes along: which recordings, the table of them, and the signature of the box.

An encrypted export needs no private key: the files as they lie, and the eCEK of each. The manifest
is written last and signed; it holds the SHA-256 of the table, which holds that of every file.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common import __version__, keys, tables
from common.errors import ConfigError
from common.playback import Audio

ALGORITHM = "cobblestone-256+RSA-OAEP-256"
# what programs read comes first and needs no quotes, so that a shell can cut it
COLUMNS = (
    "call_id", "file", "algorithm", "key_id", "ecek", "file_sha256", "audio_sha256", "file_bytes",
    "audio_bytes", "mime", "codec", "channels", "sample_rate", "data_offset", "data_bytes", "start",
    "seconds", "direction", "caller", "caller_name", "callee", "callee_name",
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
class Total:
    """How many calls an export has, and how many bytes they take in either form."""

    calls: int
    encrypted: int
    wav: int


@dataclass(frozen=True)
class CompanyKey:
    """One version of a company's key; its private half may never have been here."""

    version: int
    kid: str
    private_sealed: bytes | None


@dataclass(frozen=True)
class Listen:
    """Somebody heard a call or took it along; `recipient` is whom a link was sent to."""

    at: datetime
    actor: str
    action: str
    recipient: str | None


@dataclass(frozen=True)
class Call(Audio):
    """A stored recording with what is known of its call."""

    duration: int
    direction: str | None
    caller: str
    caller_name: str
    callee: str
    callee_name: str
    remote_id: str
    listed_at: datetime
    stored_at: datetime


def line(one: Call, file: str, kid: str, ecek: bytes, digest: bytes, size: int) -> str:
    """Return the line of a call in the table; what was typed by people stays on it."""
    people = (one.caller, one.caller_name, one.callee, one.callee_name)
    return tables.lines([[
        one.recording_id, file, ALGORITHM, kid, base64.b64encode(ecek).decode(), digest.hex(),
        one.audio_sha256.hex(), size, one.audio_size, one.mime, one.codec, one.channels,
        one.sample_rate, one.data_offset, one.data_size, one.started_at, one.duration,
        one.direction, *(" ".join(text.split()) for text in people),
    ]])  # fmt: skip


def manifest(box: UUID, company: Company, asked: Mapping[str, object], **known: object) -> bytes:
    """Return the manifest of an export; `known` is what was written, with the SHA-256 of the table
    and of the tools.
    """
    said = {
        "format": "callstash-export/1", "made_at": datetime.now(UTC).isoformat(),
        "made_by": f"CallStash {__version__}", "box": str(box),
        "company": {"id": str(company.uid), "name": company.name, "label": company.label,
                    "pbx": company.url},
        "asked": asked, **known,
    }  # fmt: skip
    return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=True).encode()


def asked(company: Company, kind: str, wanted: Wanted) -> dict[str, str | None]:
    """Return which calls an export holds, as the manifest says it."""
    return {
        "company": str(company.uid), "content": kind,
        "since": wanted.since.isoformat() if wanted.since else None,
        "until": wanted.until.isoformat() if wanted.until else None,
        "text": wanted.text,
    }  # fmt: skip


def file_name(one: Call, suffix: str = ".csrec") -> str:
    """Return where a call lies in an export."""
    return f"recordings/{one.started_at.astimezone(UTC):%Y/%m/%d}/{one.recording_id}{suffix}"


class Signer:
    """Signs with the key of the box, which must be the one that `callstash init` wrote down."""

    def __init__(self, secret: bytes, known: bytes | None) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        public = self._key.public_key()
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        raw = keys.signing_public_key(secret)
        if known != raw:
            raise ConfigError("sign.key is not the key of this CallStash: run 'callstash init'")
        self.fingerprint = hashlib.sha256(raw).hexdigest()

    def sign(self, content: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(content)
