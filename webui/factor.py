"""The second factor: codes of an authenticator app (RFC 6238), each of which works once."""

import base64
import hmac
import os
import re
from urllib.parse import quote

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from common import passwords
from common.db import Connection
from common.playback import KeyRing
from webui.queries import accounts

SECONDS, DIGITS, BYTES = 30, 6, 20  # what authenticator apps expect


def generate() -> str:
    """Return a new secret, in base32."""
    return base64.b32encode(os.urandom(BYTES)).decode()


def read(text: str) -> bytes | None:
    """Return a secret from base32; None where it is none."""
    return base64.b32decode(text) if re.fullmatch("[A-Z2-7]{32}", text) else None


def address(secret: str, account: str, host: str) -> str:
    """Return what an authenticator app reads from a picture."""
    label = quote(f"CallStash:{account}@{host}")
    return f"otpauth://totp/{label}?secret={secret}&issuer=CallStash"


def picture(text: str) -> tuple[int, str]:
    """Return a QR code: its width in modules, and the dark ones as the path of an SVG."""
    rows = [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]
    dark = (f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, bit in enumerate(row) if bit)
    return len(rows), "".join(dark)


def matching_step(secret: bytes, code: str, now: float) -> int | None:
    """Return the time step whose code this is: this one, or one beside it; None: of none."""
    typed = code.replace(" ", "").encode()
    totp = TOTP(secret, DIGITS, SHA1(), SECONDS)
    current = int(now) // SECONDS
    found = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(totp.generate(step * SECONDS), typed):
            found = step
    return found


def switch_on(db: Connection, ring: KeyRing, account: str, secret: bytes, step: int) -> None:
    """Have logins of an account ask for a code from now on."""
    accounts.set_factor(db, account, ring.seal(secret, passwords.factor(account)), step)


def accept(db: Connection, ring: KeyRing, account: str, code: str, now: float) -> bool:
    """Say whether this is a code of the account that was not used before, and use it."""
    sealed = accounts.factor(db, account)
    if sealed is None:
        return False
    step = matching_step(ring.unseal(sealed, passwords.factor(account)), code, now)
    return step is not None and accounts.use_step(db, account, step)
