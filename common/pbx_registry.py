"""PBXs as they are entered: the one way in which the web UI and the console add one.

A token is sealed before it reaches the database; who enters it can't read it back.
"""

import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import time
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from common import licence, outbox, seal
from common.db import Connection
from common.errors import ConfigError
from common.messages import PollerPbxChanged

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\]")
_PORTS = {"https": 443, "http": 80}
_NONE = "{} is not an address of a PBX, such as pbx.example.com"


@dataclass(frozen=True)
class NewPbx:
    """A PBX to add; its token comes beside it."""

    name: str
    url: str
    certificate: str | None
    timezone: str
    poll_minutes: int
    poll_at: time
    keep_months: int = 0


def address(text: str) -> str:
    """Return what was entered, a URL or a server name, as https://name or http://name:port.

    Raises ConfigError, in words for who entered it.
    """
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.netloc.rpartition("@")[2], parts.port
        name = host if host.startswith("[") else host.encode("idna").decode()
    except ValueError as error:
        raise ConfigError(_NONE.format(text[:80])) from error
    if parts.scheme not in _PORTS:
        raise ConfigError("Begin with https://, or enter only the name of the server")
    if "@" in parts.netloc:
        raise ConfigError("Leave out the user name: the API token says who asks")
    if parts.path.strip("/") or "?" in text or "#" in text:
        raise ConfigError(f"Leave out what follows the name of the server: {host}")
    name = re.sub(r":\d*$", "", name.lower()).rstrip(".")
    if not _HOST.fullmatch(name) or port == 0:
        raise ConfigError(_NONE.format(text[:80]))
    standard = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{name}" + ("" if standard else f":{port}")


def fingerprint(certificate: str) -> str:
    """Return the SHA-256 fingerprint of a certificate (PEM) in hexadecimal digits."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def seal_token(db: Connection, uid: UUID, token: str) -> bytes:
    """Return the API token of a PBX as only the poller and the archivers can open it.

    Raises ConfigError.
    """
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = 'pbx'").fetchone()
    if row is None:
        raise ConfigError("there are no keys yet: run 'callstash init' first")
    return seal.seal(row[0], token.encode(), uid.bytes)


def add(db: Connection, new: NewPbx, token: str) -> int | None:
    """Add a PBX and tell the poller, in the open transaction of `db`; return its id.

    None: there is one with this address. Raises ConfigError, and LicenceRefused.
    """
    if full := licence.room_for_pbx(db):
        raise licence.LicenceRefused(full)
    uid = uuid4()
    row = db.execute(
        "INSERT INTO pbx (uid, name, url, certificate, token_sealed, timezone, poll_minutes,"
        " poll_at, keep_months) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (url) DO NOTHING RETURNING id",
        [
            uid, new.name, new.url, new.certificate, seal_token(db, uid, token), new.timezone,
            new.poll_minutes, new.poll_at, new.keep_months,
        ],
    ).fetchone()  # fmt: skip
    if row is None:
        return None
    outbox.send(db, PollerPbxChanged(row[0]))
    return int(row[0])
