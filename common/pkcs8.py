"""A private key as a file: PKCS#8 in PEM, encrypted with a passphrase as every browser can undo.

PBES2 (RFC 8018) with PBKDF2-HMAC-SHA256 and AES-256-CBC. The library writes this too, but with 2048
rounds, which a passphrase that a person remembers does not survive.
"""

import base64
import os
import textwrap

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ROUNDS = 600_000
_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # object identifiers in DER
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("300c06082a864886f70d02090500")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_SEQUENCE, _OCTETS, _INTEGER = 0x30, 0x04, 0x02


def _der(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def pem(private: RSAPrivateKey, passphrase: str | None) -> bytes:
    """Return a private key as PEM, in clear where there is no passphrase."""
    if passphrase is None:
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, iv = os.urandom(16), os.urandom(16)
    key = PBKDF2HMAC(SHA256(), 32, salt, ROUNDS).derive(passphrase.encode())
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    rounds = _der(_INTEGER, ROUNDS.to_bytes(3, "big"))
    kdf = _der(_SEQUENCE, _PBKDF2, _der(_SEQUENCE, _der(_OCTETS, salt), rounds, _HMAC_SHA256))
    cipher = _der(_SEQUENCE, _AES_256_CBC, _der(_OCTETS, iv))
    how = _der(_SEQUENCE, _PBES2, _der(_SEQUENCE, kdf, cipher))
    body = base64.b64encode(_der(_SEQUENCE, how, _der(_OCTETS, sealed))).decode()
    lines = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", *textwrap.wrap(body, 64),
             "-----END ENCRYPTED PRIVATE KEY-----", ""]  # fmt: skip
    return "\n".join(lines).encode()
