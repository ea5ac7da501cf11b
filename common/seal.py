"""Sealing to a public key: whoever knows it can seal, only the holder of the private key can open.

HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, one
message for each encapsulated key. The newest `cryptography` has it; Debian's does not.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from common.errors import KeyUnavailable

INFO = b"callstash/seal/v1\0"
_KEM = b"KEM\x00\x20"  # RFC 9180, 7.1: DHKEM(X25519, HKDF-SHA256)
_SUITE = b"HPKE\x00\x20\x00\x01\x00\x02"  # 7.2, 7.3: HKDF-SHA256, AES-256-GCM
_KEY, _NONCE, _HASH = 32, 12, 32


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """LabeledExtract (RFC 9180, 4)."""
    mac = hmac.HMAC(salt or bytes(_HASH), hashes.SHA256())
    mac.update(b"HPKE-v1" + suite + label + material)
    return mac.finalize()


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand (RFC 9180, 4)."""
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labelled).derive(key)


def _shared_secret(exchanged: bytes, enc: bytes, public: bytes) -> bytes:
    """ExtractAndExpand of DHKEM (RFC 9180, 4.1)."""
    secret = _extract(_KEM, b"", b"eae_prk", exchanged)
    return _expand(_KEM, secret, b"shared_secret", enc + public, _HASH)


def _cipher(shared_secret: bytes, info: bytes) -> tuple[AESGCM, bytes]:
    """KeySchedule in base mode (RFC 9180, 5.1) and the nonce of the first message."""
    context = (
        b"\x00"
        + _extract(_SUITE, b"", b"psk_id_hash", b"")
        + _extract(_SUITE, b"", b"info_hash", info)
    )
    secret = _extract(_SUITE, shared_secret, b"secret", b"")
    key = _expand(_SUITE, secret, b"key", context, _KEY)
    return AESGCM(key), _expand(_SUITE, secret, b"base_nonce", context, _NONCE)


def _raw(public: X25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def generate() -> tuple[bytes, bytes]:
    """Return a new private key and its public key, 32 bytes each."""
    private = X25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()),
        _raw(private.public_key()),
    )


def public_key(private: bytes) -> bytes:
    """Return the public key that belongs to a private one."""
    return _raw(X25519PrivateKey.from_private_bytes(private).public_key())


def seal(public: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Return the encapsulated key (32 bytes) and the ciphertext, bound to `context`.

    Raises KeyUnavailable where `public` is no key to seal to.
    """
    ephemeral = X25519PrivateKey.generate()
    enc = _raw(ephemeral.public_key())
    try:  # a low-order public key gives an all-zero secret, which the library refuses
        exchanged = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise KeyUnavailable("this is not a public key to seal to") from error
    cipher, nonce = _cipher(_shared_secret(exchanged, enc, public), INFO + context)
    return enc + cipher.encrypt(nonce, plaintext, None)


def unseal(private: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return the plaintext. Raises KeyUnavailable: sealed to another key or context, or altered."""
    enc, ciphertext = sealed[:_KEY], sealed[_KEY:]
    try:
        key = X25519PrivateKey.from_private_bytes(private)
        exchanged = key.exchange(X25519PublicKey.from_public_bytes(enc))
        shared = _shared_secret(exchanged, enc, _raw(key.public_key()))
        cipher, nonce = _cipher(shared, INFO + context)
        return cipher.decrypt(nonce, ciphertext, None)
    except (InvalidTag, ValueError) as error:
        raise KeyUnavailable("the secret was sealed to another key, or was altered") from error
