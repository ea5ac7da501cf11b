"""Licences: what the vendor signs (Ed25519, RFC 8032), and the activation codes that lead to one.

A licence is bound to one box. Nothing of it is believed before its signature was verified.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.db import Connection
from common.errors import CallStashError, ConfigError

SIGNED = b"callstash licence v1\n"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32: no I, L, O, U
GROUP, GROUPS = 12, 3  # with two hyphens 38 characters, the last two a checksum
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\t": None})


class LicenceRefused(CallStashError):
    """This code or licence can't be used; the text says why, and what to do."""


@dataclass(frozen=True)
class Licence:
    """What a licence allows: `pbxs` at most, upgrades and help until `support_until`."""

    serial: str
    box: UUID
    pbxs: int
    activated: date
    support_until: date
    issued: datetime


def checksum(letters: str) -> str:
    """Return the two letters that follow the others of an activation code."""
    bits = int.from_bytes(hashlib.sha256(letters.encode()).digest()[:2], "big") >> 6
    return ALPHABET[bits >> 5] + ALPHABET[bits & 31]


def read_code(text: str) -> str:
    """Return an activation code as it is printed. Raises LicenceRefused for a typing mistake."""
    letters = text.upper().translate(_ALIKE)
    if len(letters) != GROUP * GROUPS or set(letters) - set(ALPHABET):
        raise LicenceRefused(
            "An activation code has 38 characters: three groups of 12 letters and digits with"
            " hyphens between them."
        )
    if checksum(letters[:-2]) != letters[-2:]:
        raise LicenceRefused("There is a typing mistake in this code. Compare it with the original")
    return "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


def public_key(text: str) -> Ed25519PublicKey:
    """Return the vendor's key from base64. Raises ConfigError."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error) as error:
        raise ConfigError(
            "[housekeeper] 'licence_key' must be the vendor's key: 32 bytes in base64"
        ) from error


def verify(document: str, key: Ed25519PublicKey, box: UUID) -> Licence:
    """Return what a licence says. Raises LicenceRefused: not one, altered, of another box."""
    try:
        outer = json.loads(document)
        body, signature = outer["licence"], base64.b64decode(outer["signature"], validate=True)
        signed = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LicenceRefused("This is not a licence of CallStash.") from error
    try:
        key.verify(signature, SIGNED + signed.encode("utf-8", "surrogatepass"))
    except InvalidSignature as error:
        raise LicenceRefused(
            "This licence was altered, or another vendor signed it: its signature is wrong."
        ) from error
    found = _read(body)
    if found.box != box:
        raise LicenceRefused(
            f"This licence is for another box ({found.box}), this one is {box}. Ask for one with"
            " this box's ID."
        )
    return found


def _read(body: dict[str, Any]) -> Licence:
    try:
        found = Licence(
            str(body["serial"]),
            UUID(body["box"]),
            int(body["pbxs"]),
            date.fromisoformat(body["activated"]),
            date.fromisoformat(body["support_until"]),
            datetime.fromisoformat(body["issued"]),
        )
        if found.pbxs < 1 or found.issued.tzinfo is None:
            raise ValueError(body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LicenceRefused("This licence needs a newer release of CallStash.") from error
    return found


def room_for_pbx(db: Connection) -> str | None:
    """Return why no further PBX may be added, None where one may; inside the adding transaction."""
    db.execute("LOCK TABLE pbx IN SHARE ROW EXCLUSIVE MODE")
    row = db.execute("SELECT l.pbxs, (SELECT count(*) FROM pbx) FROM licence l").fetchone()
    if row is None or row[1] < row[0]:
        return None
    allowed = "1 PBX" if row[0] == 1 else f"{row[0]} PBXs"
    return f"The licence is for {allowed}, and there are {row[1]}. Ask your vendor for a larger one"
