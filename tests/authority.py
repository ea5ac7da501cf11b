"""A certificate authority for tests: servers that it vouches for, and such that it does not."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates; `file` holds its own, for SSL_CERT_FILE."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Test authority")
        own = self._sign(self._name, self._key.public_key(), None, DAY)
        self.file = directory / "authority.pem"
        self.file.write_bytes(own.public_bytes(PEM))

    def _sign(
        self,
        name: x509.Name,
        public: ec.EllipticCurvePublicKey,
        subject: x509.SubjectAlternativeName | None,
        lasts: timedelta,
        issuer: x509.Name | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer or self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now + lasts)
        )
        if subject:
            builder = builder.add_extension(subject, critical=False)
        else:
            builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        return builder.sign(key or self._key, hashes.SHA256())

    def pair(
        self, name: str, *, lasts: timedelta = DAY, intermediate: bool = True
    ) -> tuple[bytes, list[bytes]]:
        """Return a server's key and its certificate with the one that signed it, as PEM."""
        key, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        middle = _name("Test intermediate")
        subject = x509.SubjectAlternativeName([x509.DNSName(name)])
        above = (middle, signer) if intermediate else (None, None)
        chain = [self._sign(_name(name), key.public_key(), subject, lasts, *above)]
        if intermediate:
            chain.append(self._sign(middle, signer.public_key(), None, DAY))
        private = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, [one.public_bytes(PEM) for one in chain]

    def context(
        self, *, address: str = "127.0.0.1", lasts: timedelta = DAY, self_signed: bool = False
    ) -> ssl.SSLContext:
        """Return what a server at `address` shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        name = _name(f"server {address}")
        made = self._sign(
            name, key.public_key(), subject, lasts,
            name if self_signed else None, key if self_signed else None,
        )  # fmt: skip
        file = self._directory / f"{x509.random_serial_number()}.pem"
        private = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + made.public_bytes(PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
