"""Sealing: the numbers of RFC 9180, agreement with the library, and what is refused."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from common import seal
from common.errors import KeyUnavailable

VECTOR = json.loads((Path(__file__).parent.parent / "vectors" / "rfc9180-hpke.json").read_text())
NUMBERS = {name: bytes.fromhex(value) for name, value in VECTOR.items() if isinstance(value, str)}


def test_the_vector_of_rfc_9180_for_our_suite() -> None:
    recipient = X25519PrivateKey.from_private_bytes(NUMBERS["skRm"])
    sender = X25519PrivateKey.from_private_bytes(NUMBERS["skEm"])
    for exchanged in (
        recipient.exchange(X25519PublicKey.from_public_bytes(NUMBERS["enc"])),
        sender.exchange(X25519PublicKey.from_public_bytes(NUMBERS["pkRm"])),
    ):
        shared = seal._shared_secret(exchanged, NUMBERS["enc"], NUMBERS["pkRm"])
        assert shared == NUMBERS["shared_secret"]
    cipher, nonce = seal._cipher(shared, NUMBERS["info"])
    assert nonce == NUMBERS["base_nonce"]
    first = {name: bytes.fromhex(value) for name, value in VECTOR["encryptions"][0].items()}
    assert nonce == first["nonce"]
    assert cipher.encrypt(nonce, first["pt"], first["aad"]) == first["ct"]


def test_the_library_and_we_open_each_others_seals() -> None:
    hpke = pytest.importorskip(
        "cryptography.hazmat.primitives.hpke", reason="this version of cryptography has no HPKE"
    )
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    private, public = seal.generate()
    info = b"callstash/seal/v1\0context"
    theirs = suite.encrypt(b"secret", X25519PublicKey.from_public_bytes(public), info)
    assert seal.unseal(private, theirs, b"context") == b"secret"
    ours = seal.seal(public, b"secret", b"context")
    assert suite.decrypt(ours, X25519PrivateKey.from_private_bytes(private), info) == b"secret"


def test_a_seal_opens_with_its_key_and_context_only() -> None:
    private, public = seal.generate()
    sealed = seal.seal(public, b"secret", b"context")
    assert seal.unseal(private, sealed, b"context") == b"secret"
    for key, data, context in (
        (seal.generate()[0], sealed, b"context"),
        (private[:-1], sealed, b"context"),
        (private, sealed, b"another"),
        (private, sealed, b""),
        (private, sealed + b"x", b"context"),
        (private, bytes(32) + sealed[32:], b"context"),
        (private, seal.seal(public, b"secret", b"context")[:32] + sealed[32:], b"context"),
        *((private, sealed[:length], b"context") for length in range(len(sealed))),
    ):
        with pytest.raises(KeyUnavailable):
            seal.unseal(key, data, context)


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(100_000)], ids=len)
def test_what_is_sealed_comes_back_whatever_its_length(plaintext: bytes) -> None:
    private, public = seal.generate()
    sealed = seal.seal(public, plaintext, b"")
    assert len(sealed) == 32 + len(plaintext) + 16
    assert seal.unseal(private, sealed, b"") == plaintext


def test_every_flipped_bit_is_refused() -> None:
    private, public = seal.generate()
    sealed = seal.seal(public, b"secret", b"")
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyUnavailable):
            seal.unseal(private, bytes(altered), b"")


LOW_ORDER = [  # RFC 7748, 7: whoever sends one wants an all-zero secret that anybody knows
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("public", [*LOW_ORDER, "", "ff", "00" * 33])
def test_a_key_that_gives_no_secret_is_refused(public: str) -> None:
    private, _ = seal.generate()
    with pytest.raises(KeyUnavailable):
        seal.seal(bytes.fromhex(public), b"secret", b"")
    with pytest.raises(KeyUnavailable):
        seal.unseal(private, bytes.fromhex(public) + bytes(48), b"")


def test_sealing_twice_gives_different_bytes() -> None:
    _, public = seal.generate()
    assert seal.seal(public, b"secret", b"") != seal.seal(public, b"secret", b"")
