"""What is asked of a PBX before its settings are saved: whose token it is, by which certificate.

The token goes only over a connection that the public authorities vouch for, or to the one
certificate that an administrator compared and accepted. It all ends after `SECONDS`.
"""

import base64
import binascii
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common import pbx, pbx_registry
from common.errors import (
    ConfigError,
    NoPermission,
    PbxError,
    Unreachable,
    UntrustedCertificate,
    WrongToken,
)
from common.pbx import Identity
from webui import auth
from webui.forms import Form

SECONDS = 15.0
_KIND = "ipcortex"
_NONCE = 12

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A certificate that a PBX shows, for an administrator to compare."""

    pem: str
    fingerprint: str
    subject: str
    issuer: str
    begins: datetime
    ends: datetime
    is_in_force: bool
    replaced: bool  # it is not the one that was shown before

    @property
    def pairs(self) -> str:
        """Return the fingerprint as PBXs and browsers show it: 0A:1B:…"""
        return pairs(self.fingerprint)


@dataclass(frozen=True)
class Checked:
    """A PBX that accepts the token, and the certificate to pin, if any."""

    identity: Identity
    certificate: str | None


def pairs(fingerprint: str) -> str:
    """Return hexadecimal digits in pairs."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()


def check(
    form: Form, address: str, token: str, zone: str, pinned: str | None
) -> Checked | Shown | None:
    """Ask the PBX whose token it is; None where the form now says what is wrong.

    A certificate that nobody vouches for comes back to be compared. One that was accepted, by the
    fingerprint in the form, is used only if the PBX shows it still.
    """
    try:
        accepted = form.values.get("fingerprint", "")
        return within(lambda: _ask(address, token, zone, pinned, accepted))
    except (WrongToken, NoPermission) as error:
        form.fail("token", f"{error}.")
    except (PbxError, ConfigError) as error:
        form.fail("url", f"{error}.")
    return None


def look(address: str, accepted: str = "") -> Shown:
    """Return the certificate that a PBX shows now. Raises ConfigError, Unreachable."""
    return within(lambda: _shown(pbx.fetch_certificate(address), accepted))


def _ask(
    address: str, token: str, zone: str, certificate: str | None, accepted: str
) -> Checked | Shown:
    if accepted:
        certificate = pbx.fetch_certificate(address)
        if pbx_registry.fingerprint(certificate) != accepted:
            return _shown(certificate, accepted)
    try:
        with pbx.connect(
            _KIND, address, token=token, certificate=certificate, timezone=zone
        ) as connector:
            return Checked(connector.verify(), certificate)
    except UntrustedCertificate as error:
        if accepted:  # it is the one that was compared, and has another fault, such as its age
            raise Unreachable(str(error)) from error
        return _shown(pbx.fetch_certificate(address), accepted)


def _shown(pem: str, accepted: str) -> Shown:
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
        begins, ends = (
            getattr(found, f"{name}_utc", None) or getattr(found, name).replace(tzinfo=UTC)
            for name in ("not_valid_before", "not_valid_after")
        )
    except ValueError as error:
        raise Unreachable("the PBX shows a certificate that can't be read") from error
    fingerprint = pbx_registry.fingerprint(pem)
    replaced = bool(accepted) and accepted != fingerprint
    is_in_force = begins <= datetime.now(UTC) <= ends
    return Shown(pem, fingerprint, subject[:300], issuer[:300], begins, ends, is_in_force, replaced)


def within(do: Callable[[], T]) -> T:
    """Do it in a thread, which is left to its own end where it takes too long."""
    threads = ThreadPoolExecutor(1)
    try:
        return threads.submit(do).result(SECONDS)
    except TooLate as error:
        raise Unreachable(f"the PBX did not answer within {SECONDS:.0f} seconds") from error
    finally:
        threads.shutdown(wait=False)


def carry(token: str, address: str) -> str:
    """Return a token as text that only the browser which sent it can send back, for one address."""
    nonce = os.urandom(_NONCE)
    sealed = nonce + _cipher().encrypt(nonce, token.encode(), address.encode())
    return base64.urlsafe_b64encode(sealed).decode()


def carried(text: str, address: str) -> str:
    """Return the token that `carry` made into this text; empty where it is not of this browser."""
    try:
        sealed = base64.urlsafe_b64decode(text)
        return _cipher().decrypt(sealed[:_NONCE], sealed[_NONCE:], address.encode()).decode()
    except (ValueError, binascii.Error, InvalidTag):
        return ""


def _cipher() -> AESGCM:
    key = HKDF(hashes.SHA256(), 32, None, b"callstash carried token")
    return AESGCM(key.derive(auth.token().encode()))
