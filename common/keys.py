"""Keys: a company's RSA pair, content keys wrapped with it, and the credentials of this process.

Whoever archives needs public keys only. A company's private key exists in clear just while it is
made and while the holder of the master key uses it.
"""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_public_key,
    load_ssh_private_key,
)

from common import files, seal
from common.errors import ConfigError, KeyUnavailable

BITS = 3072
_OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)  # RFC 8017, 7.1


@dataclass(frozen=True)
class CompanyKey:
    """A company's public key: SubjectPublicKeyInfo in DER. The company has the private half."""

    version: int
    kid: str
    public_key: bytes


@dataclass(frozen=True)
class OwnKey(CompanyKey):
    """A company's key pair, of which this box has the private half too."""

    private_sealed: bytes


def key_id(public_der: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a public key."""
    return hashlib.sha256(public_der).hexdigest()[:16]


def _context(company: UUID, kid: str, version: int) -> bytes:
    return f"company-key\0{company}\0{kid}\0{version}".encode()


def _spki(private: rsa.RSAPrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def generate_company_key(company: UUID, version: int, master_public: bytes) -> OwnKey:
    """Make a key pair and seal its private half to the master key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    public = _spki(private)
    pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    kid = key_id(public)
    return OwnKey(
        version, kid, public, seal.seal(master_public, pkcs8, _context(company, kid, version))
    )


def reseal_company_key(
    master_private: bytes, master_public: bytes, private_sealed: bytes, company: UUID, kid: str,
    version: int,
) -> bytes:  # fmt: skip
    """Seal a company's private key to another master key. Raises KeyUnavailable."""
    context = _context(company, kid, version)
    return seal.seal(master_public, seal.unseal(master_private, private_sealed, context), context)


def brought_key(version: int, pem: bytes) -> CompanyKey:
    """Return the key of a company that keeps the private half to itself. Raises ConfigError."""
    if b"PRIVATE KEY" in pem:
        raise ConfigError("this is a private key: keep it, and give the public key that belongs")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            "this is no public key in PEM: 'openssl pkey -in private.pem -pubout' writes one"
        ) from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < BITS:
        raise ConfigError(f"this is not an RSA key of {BITS} bits or more")
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return CompanyKey(version, key_id(public), public)


def open_company_key(
    master_private: bytes, private_sealed: bytes, company: UUID, kid: str, version: int
) -> rsa.RSAPrivateKey:
    """Open a company's private key.

    Raises KeyUnavailable, also for another company's or version's. Anybody can seal to the master
    key, so what was sealed must be the very key that `kid` names.
    """
    pkcs8 = seal.unseal(master_private, private_sealed, _context(company, kid, version))
    try:
        key = load_der_private_key(pkcs8, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnavailable(f"what was sealed as private key {kid} is no key") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key_id(_spki(key)) != kid:
        raise KeyUnavailable(f"what was sealed as private key {kid} is another key")
    return key


@lru_cache(256)
def _public(public_der: bytes) -> rsa.RSAPublicKey:
    try:
        key = load_der_public_key(public_der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnavailable(f"the public key {key_id(public_der)} can't be read") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < BITS:
        raise KeyUnavailable(f"the public key {key_id(public_der)} is not RSA of {BITS} bits")
    return key


def wrap(public_der: bytes, cek: bytes) -> bytes:
    """Wrap a content key for a company: RSA-OAEP with SHA-256, no label. Raises KeyUnavailable."""
    return _public(public_der).encrypt(cek, _OAEP)


def unwrap(private: rsa.RSAPrivateKey, ecek: bytes) -> bytes:
    """Return the content key. Raises KeyUnavailable."""
    try:
        cek = private.decrypt(ecek, _OAEP)
    except ValueError as error:
        raise KeyUnavailable(
            "the content key was wrapped for another key, or was altered"
        ) from error
    if len(cek) != 32:
        raise KeyUnavailable("the content key has the wrong length")
    return cek


def load_credential(name: str) -> bytes:
    """Return the 32 bytes of a credential of this process (systemd.exec(5), LoadCredential=).

    Raises ConfigError.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise ConfigError(f"no credentials: CREDENTIALS_DIRECTORY must name the one with {name}")
    return read_credential(Path(directory, name))


def find_credential(name: str) -> bytes | None:
    """Return the 32 bytes of a credential of this process; None where it has none of that name.

    Raises ConfigError.
    """
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)
    return read_credential(path) if path.is_file() else None


def credential_file(name: str) -> Path:
    """Return where a credential of this process is, for a program that reads it itself.

    Raises ConfigError.
    """
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)
    if not path.is_file():
        raise ConfigError(f"no credentials: CREDENTIALS_DIRECTORY must name the one with {name}")
    return path


def generate_ssh_key(comment: str) -> tuple[bytes, str]:
    """Make a key pair for ssh: the private key as OpenSSH keeps it, and the line for
    authorized_keys.
    """
    private = Ed25519PrivateKey.generate()
    line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return secret, f"{line} {comment}"


def ssh_public_key(secret: bytes) -> str:
    """Return the public half of a private ssh key, type and base64. Raises KeyUnavailable."""
    try:
        public = load_ssh_private_key(secret, None).public_key()
        return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnavailable("the ssh key can't be read") from error


def signing_public_key(secret: bytes) -> bytes:
    """Return the public half, 32 bytes, of the key with which the box signs."""
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def read_credential(path: Path) -> bytes:
    """Return the 32 bytes of a credential. Raises ConfigError."""
    try:
        secret = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except binascii.Error as error:
        raise ConfigError(f"{path}: is not base64") from error
    if len(secret) != 32:
        raise ConfigError(f"{path}: must hold 32 bytes, not {len(secret)}")
    return secret


def write_credential(directory: Path, name: str, secret: bytes) -> None:
    """Write a credential as base64, durable and readable for the owner only; never over another."""
    write_secret(directory, name, base64.b64encode(secret) + b"\n")


def write_secret(directory: Path, name: str, content: bytes) -> None:
    """Write a secret as it is, durable and readable for the owner only; never over another one.

    Raises FileExistsError, and OSError, which leaves no file behind.
    """
    path = directory / name
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        files.write_all(descriptor, [content])
        os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)
    files.sync_directory(directory)
