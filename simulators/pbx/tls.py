"""The self-signed certificate of the simulated PBX: made once, then the same for every simulator
that shares the directory."""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


def certificate(state: Path) -> tuple[Path, Path]:
    """Return the PEM files of the certificate for 127.0.0.1 and of its key."""
    public, private = state / "pbx.crt", state / "pbx.key"
    with (state / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not public.exists():
            _make(public, private)
    return public, private


def _make(public: Path, private: Path) -> None:
    """Write both; the certificate last, because its being there says that all is done."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "PBX simulator")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 3650 * DAY)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    temporary = public.with_suffix(".new")
    temporary.write_bytes(made.public_bytes(PEM))
    temporary.rename(public)
