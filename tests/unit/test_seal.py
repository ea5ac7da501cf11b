"""Sealing: the numbers of RFC 9180, agreement with the library, and what is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from common import seal
from common.errors import KeyUnavailable


def test_the_encapsulation_gives_the_numbers_of_rfc_9180() -> None:  # appendix A.1.1
    private = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    public = bytes.fromhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d")
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    exchanged = X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(enc)
    )
    expected = "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc"
    assert seal._shared_secret(exchanged, enc, public).hex() == expected


def test_the_library_and_we_open_each_others_seals() -> None:
    hpke = pytest.importorskip(
        "cryptography.hazmat.primitives.hpke", reason="this version of cryptography has no HPKE"
    )
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    private, public = seal.generate()
    info = seal.INFO + b"context"
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
        (private, sealed, b"another"),
        (private, sealed[:-1], b"context"),
        (private, sealed + b"x", b"context"),
        (private, b"", b"context"),
        (private, bytes(32) + sealed[32:], b"context"),
    ):
        with pytest.raises(KeyUnavailable):
            seal.unseal(key, data, context)


def test_every_flipped_bit_is_refused() -> None:
    private, public = seal.generate()
    sealed = seal.seal(public, b"secret", b"")
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyUnavailable):
            seal.unseal(private, bytes(altered), b"")


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), b"short"])
def test_a_key_that_gives_no_secret_is_refused(public: bytes) -> None:
    with pytest.raises(KeyUnavailable):
        seal.seal(public, b"secret", b"")


def test_sealing_twice_gives_different_bytes() -> None:
    _, public = seal.generate()
    assert seal.seal(public, b"secret", b"") != seal.seal(public, b"secret", b"")
