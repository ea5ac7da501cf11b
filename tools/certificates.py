"""Certificates for the web UI: whether a key and a chain are such as browsers accept."""

import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from common.errors import CallStashError

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
LARGEST = 256 * 1024
SECONDS = 30


class BadCertificate(CallStashError):
    """A key and a certificate that the web UI can't be served with."""


@dataclass(frozen=True)
class Pair:
    """A private key and the chain of certificates for it, the server's own first."""

    key: bytes
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def read(cls, key: Path, certificate: Path) -> Self:
        """Return the pair in two files without a look at whether it holds. Raises
        BadCertificate.
        """
        return cls(_read(key), _certificates(certificate))

    @property
    def pem(self) -> bytes:
        """Return the chain as a file for nginx."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the server's certificate, as browsers show it."""
        return self.chain[0].fingerprint(SHA256()).hex(":").upper()

    @property
    def ends(self) -> datetime:
        """Return when the server's certificate expires."""
        return _span(self.chain[0])[1]

    @property
    def names(self) -> list[str]:
        """Return for which names it is."""
        try:
            found = self.chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return []
        addresses = [str(one) for one in found.value.get_values_for_type(x509.IPAddress)]
        return [*found.value.get_values_for_type(x509.DNSName), *addresses]


def load(key: Path, certificate: Path, now: datetime, authorities: Path = AUTHORITIES) -> Pair:
    """Return the pair in two files. Raises BadCertificate with what to do about it."""
    secret = _read(key)
    if key.stat().st_mode & 0o007:
        raise BadCertificate(f"every user can read {key}: run 'chmod 600 {key}' and try again")
    private = _private(key, secret)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair = Pair(pem, _certificates(certificate))
    own = pair.chain[0]
    if _public(own.public_key()) != _public(private.public_key()):
        if any(_public(one.public_key()) == _public(private.public_key()) for one in pair.chain):
            raise BadCertificate(
                f"{certificate}: the server's own certificate must come first, then the"
                " certificate that signed it, and so on: put them in that order"
            )
        raise BadCertificate(f"{certificate} is not for the key {key}: take the pair that belongs")
    _in_date(certificate, own, now)
    if not pair.names:
        raise BadCertificate(
            f"{certificate} names no server (subjectAltName), and browsers refuse such: have it"
            " issued anew"
        )
    _ordered(certificate, pair.chain)
    _vouched(certificate, pair.chain, authorities)
    return pair


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise BadCertificate(f"{path} can't be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise BadCertificate(f"{path} is too long for a key or a certificate: name another file")
    return content


def _private(path: Path, content: bytes) -> RSAPrivateKey | EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(content, None)
    except TypeError as error:
        raise BadCertificate(
            f"{path} is locked with a passphrase: unlock it with 'openssl pkey -in {path} -out"
            " unlocked.key' and give that file"
        ) from error
    except ValueError as error:
        raise BadCertificate(
            f"{path} holds no private key (PEM): the key comes first, then the certificate"
        ) from error
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise BadCertificate(
            f"{path} is not a key that browsers accept: take RSA or a curve of NIST"
        )
    return key


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    marker, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    found = []
    try:
        for part in _read(path).split(marker)[1:]:
            found.append(x509.load_pem_x509_certificate(marker + part.partition(end)[0] + end))
    except ValueError as error:
        raise BadCertificate(f"{path}: certificate {len(found) + 1} in it is damaged") from error
    if not found:
        raise BadCertificate(f"{path} holds no certificate (PEM)")
    return tuple(found)


def _public(key: object) -> bytes:
    found: bytes = key.public_bytes(  # type: ignore[attr-defined]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return found


def _span(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Return from when to when a certificate is valid."""
    start = getattr(certificate, "not_valid_before_utc", None)  # cryptography 42
    if start is None:
        start = certificate.not_valid_before.replace(tzinfo=UTC)
    end = getattr(certificate, "not_valid_after_utc", None)
    if end is None:
        end = certificate.not_valid_after.replace(tzinfo=UTC)
    return start, end


def _in_date(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    start, end = _span(certificate)
    if now >= end:
        raise BadCertificate(f"{path} expired on {end:%d %b %Y}: have a new one issued")
    if now < start:
        raise BadCertificate(f"{path} is not valid before {start:%d %b %Y, %H:%M} UTC: wait, or"
                             " check this machine's clock")  # fmt: skip


def _ordered(path: Path, chain: tuple[x509.Certificate, ...]) -> None:
    for number, (one, signer) in enumerate(zip(chain, chain[1:], strict=False), 2):
        if one.issuer != signer.subject:
            raise BadCertificate(
                f"{path}: certificate {number} ({signer.subject.rfc4514_string()}) did not sign"
                " the one before it: put the server's own first and each one's signer after it"
            )


def _vouched(path: Path, chain: tuple[x509.Certificate, ...], authorities: Path) -> None:
    """Have openssl check the signatures, dates and purposes up to an authority."""
    last = chain[-1]
    with tempfile.TemporaryDirectory(prefix="callstash-") as name:
        directory = Path(name)
        for file, ones in (("own", chain[:1]), ("others", chain), ("last", chain[-1:])):
            (directory / file).write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in ones))
        trusted = directory / "last" if last.issuer == last.subject else authorities
        command = ["openssl", "verify", "-purpose", "sslserver", "-no-CApath", "-CAfile",
                   str(trusted), "-untrusted", str(directory / "others"),
                   str(directory / "own")]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    if done.returncode == 0:
        return
    said = next((line for line in done.stderr.splitlines() if line.startswith("error ")), "")
    if "unable to get" in said and "issuer certificate" in said:
        raise BadCertificate(
            f"{path} ends with a certificate signed by {last.issuer.rfc4514_string()}, which is"
            " neither in the file nor a known authority: append the missing certificates"
        )
    raise BadCertificate(f"{path} does not hold: {said.partition(': ')[2] or done.stderr[:200]}")
