"""The archive format: fixed vectors, agreement with the library; whatever is altered is refused."""

import base64
import hashlib
import io
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import archive
from common.archive import CHUNK, MAGIC, SALT, TAG, Encryptor, Header, Reader
from common.errors import ArchiveError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "archive.json").read_text())
CEK = bytes(range(32))
HEADER = Header(uuid4(), uuid4(), uuid4(), "0123456789abcdef", "audio/wav")
CELL = CHUNK + TAG


def encrypt(plaintext: bytes, header: Header = HEADER, cek: bytes = CEK) -> bytes:
    encryptor = Encryptor(header, cek)
    return encryptor.prefix + b"".join(encryptor.update(plaintext)) + encryptor.finish()


def read(file: bytes, header: Header = HEADER, cek: bytes = CEK) -> bytes:
    reader = Reader(io.BytesIO(file), cek, recording=header.rec, company=header.co)
    plaintext = b"".join(reader.read_range(0, reader.size))
    assert len(plaintext) == reader.size
    return plaintext


def body_start(header: Header = HEADER) -> int:
    return len(header.encode()) + SALT + archive.COMMITMENT


def refused(file: bytes, **keywords: Any) -> None:
    with pytest.raises(ArchiveError):
        read(file, **keywords)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["length"]))
def test_the_fixed_vectors_decrypt(vector: dict[str, Any]) -> None:
    length = vector["length"]
    header = Header(
        UUID(vector["pbx"]), UUID(vector["co"]), UUID(vector["rec"]), vector["kid"], vector["mime"]
    )
    plaintext = read(base64.b64decode(vector["file"]), header, bytes.fromhex(vector["cek"]))
    assert plaintext == hashlib.shake_256(f"audio{length}".encode()).digest(length)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["length"]))
def test_the_fixed_vectors_are_what_we_write(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = base64.b64decode(vector["file"])
    header = Header(
        UUID(vector["pbx"]), UUID(vector["co"]), UUID(vector["rec"]), vector["kid"], vector["mime"]
    )
    start = len(header.encode())
    monkeypatch.setattr(os, "urandom", lambda size: file[start : start + size])
    length = vector["length"]
    plaintext = hashlib.shake_256(f"audio{length}".encode()).digest(length)
    assert encrypt(plaintext, header, bytes.fromhex(vector["cek"])) == file


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 100_000])
def test_the_library_and_we_read_each_other(length: int) -> None:
    cobblestone = pytest.importorskip(
        "cryptography.cobblestone", reason="this version of cryptography has no Cobblestone"
    )
    plaintext = os.urandom(length)
    prefix = HEADER.encode()
    context = b"callstash/recording/v1\0" + hashlib.sha256(prefix).digest()
    theirs = cobblestone.Cobblestone256Encryptor(CEK, context)
    assert read(prefix + theirs.update(plaintext) + theirs.finalize()) == plaintext
    decryptor = cobblestone.Cobblestone256Decryptor(CEK, context)
    ours = encrypt(plaintext)[len(prefix) :]
    assert decryptor.update(ours) + decryptor.finalize() == plaintext


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4 * CHUNK), st.integers(-10, 4 * CHUNK), st.integers(-10, 5 * CHUNK))
def test_any_range_is_that_part_of_the_plaintext(length: int, start: int, stop: int) -> None:
    plaintext = hashlib.shake_256(b"range").digest(length)
    reader = Reader(io.BytesIO(encrypt(plaintext)), CEK, recording=HEADER.rec, company=HEADER.co)
    assert b"".join(reader.read_range(start, stop)) == plaintext[max(0, start) : max(0, stop)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40_000), max_size=8))
def test_how_the_bytes_come_in_does_not_matter(sizes: list[int]) -> None:
    encryptor = Encryptor(HEADER, CEK)
    pieces = [hashlib.shake_256(bytes([n])).digest(size) for n, size in enumerate(sizes)]
    file = encryptor.prefix + b"".join(b"".join(encryptor.update(piece)) for piece in pieces)
    assert read(file + encryptor.finish()) == b"".join(pieces)


def test_only_the_chunks_of_a_range_are_read() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            Counting.taken += len(data)
            return data

    file = Counting(encrypt(bytes(100 * CHUNK)))
    reader = Reader(file, CEK, recording=HEADER.rec, company=HEADER.co)
    Counting.taken = 0
    assert b"".join(reader.read_range(70 * CHUNK + 5, 70 * CHUNK + 10)) == bytes(5)
    assert Counting.taken == CELL


def test_twenty_thousand_flipped_bits_are_refused() -> None:
    file = encrypt(os.urandom(1500))
    chance = random.Random(20_000)
    for _ in range(20_000):
        bit = chance.randrange(len(file) * 8)
        altered = bytearray(file)
        altered[bit // 8] ^= 1 << bit % 8
        refused(bytes(altered))


def test_a_flipped_bit_in_any_chunk_is_refused() -> None:
    file = encrypt(os.urandom(4 * CHUNK + 100))
    for offset in range(body_start(), len(file), 1009):
        altered = bytearray(file)
        altered[offset] ^= 0x10
        refused(bytes(altered))


def test_every_truncation_is_refused() -> None:
    file = encrypt(os.urandom(2 * CHUNK + 300))
    lengths = {*range(1200), *range(len(file) - 1200, len(file)), *range(0, len(file), 97)}
    for length in sorted(lengths - {len(file)}):
        refused(file[:length])


@pytest.mark.parametrize("extra", [1, TAG, CELL, 5 * CELL])
def test_anything_after_the_last_chunk_is_refused(extra: int) -> None:
    refused(encrypt(os.urandom(CHUNK + 7)) + os.urandom(extra))


def cells(file: bytes) -> tuple[bytes, list[bytes]]:
    start = body_start()
    return file[:start], [file[at : at + CELL] for at in range(start, len(file), CELL)]


def test_chunks_in_another_order_missing_doubled_or_of_another_file_are_refused() -> None:
    start, parts = cells(encrypt(os.urandom(5 * CHUNK + 50)))
    _, other = cells(encrypt(os.urandom(5 * CHUNK + 50)))
    for first in range(5):
        for second in range(first + 1, 5):
            swapped = parts.copy()
            swapped[first], swapped[second] = swapped[second], swapped[first]
            refused(start + b"".join(swapped))
        refused(start + b"".join(parts[:first] + parts[first + 1 :]))
        refused(start + b"".join(parts[: first + 1] + parts[first:]))
        refused(start + b"".join([*parts[:first], other[first], *parts[first + 1 :]]))


def test_two_files_swapped_together_with_their_keys_are_refused() -> None:
    other = replace(HEADER, rec=uuid4())
    file = encrypt(b"what the other one said", other, bytes(32))
    assert read(file, other, bytes(32))
    refused(file, header=HEADER, cek=bytes(32))
    refused(file, header=replace(other, co=uuid4()), cek=bytes(32))


def test_another_key_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ArchiveError, match="the key does not belong"):
        Reader(io.BytesIO(encrypt(b"x")), bytes(32), recording=HEADER.rec, company=HEADER.co)


def rewrite(change: Callable[[dict[str, Any]], object], **dump: Any) -> bytes:
    """Return a file whose header was changed and which is otherwise valid for that header."""
    encoded = HEADER.encode()
    members = json.loads(encoded[len(MAGIC) + 2 :])
    change(members)
    body = json.dumps(members, **{"sort_keys": True, "separators": (",", ":"), **dump}).encode()
    return forge(body)


def forge(body: bytes) -> bytes:
    class Forged(Header):
        def encode(self) -> bytes:
            return MAGIC + len(body).to_bytes(2, "big") + body

    return encrypt(b"hello", Forged(**vars(HEADER)))


def test_a_rewritten_but_equal_header_is_accepted() -> None:
    assert read(rewrite(lambda members: None)) == b"hello"


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda m: m.update(v=2),
    "version true": lambda m: m.update(v=True),
    "version 1.0": lambda m: m.update(v=1.0),
    "another algorithm": lambda m: m.update(alg="cobblestone-128"),
    "another wrap": lambda m: m.update(wrap="RSA1_5"),
    "a missing member": lambda m: m.pop("mime"),
    "an unknown member": lambda m: m.update(x=1),
    "an upper-case id": lambda m: m.update(rec=m["rec"].upper()),
    "an id in braces": lambda m: m.update(co="{" + m["co"] + "}"),
    "an id without hyphens": lambda m: m.update(pbx=m["pbx"].replace("-", "")),
    "no id": lambda m: m.update(rec="x"),
    "a number as an id": lambda m: m.update(rec=7),
    "a number as a type": lambda m: m.update(mime=7),
    "null": lambda m: m.update(kid=None),
    "a list": lambda m: m.update(kid=[]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_header_with(name: str) -> None:
    refused(rewrite(CHANGES[name]))


@pytest.mark.parametrize(
    "dump", [{"separators": (", ", ":")}, {"indent": 1}, {"sort_keys": False}], ids=str
)
def test_a_header_that_is_not_canonical_is_refused(dump: dict[str, Any]) -> None:
    def last_first(members: dict[str, Any]) -> None:
        members["alg"] = members.pop("alg")

    refused(rewrite(last_first, **dump))


def test_a_doubled_member_a_bare_value_and_no_json_are_refused() -> None:
    body = HEADER.encode()[len(MAGIC) + 2 :]
    for wrong in (
        body.replace(b'"v":1', b'"v":1,"v":1'),
        b"[]",
        b"1",
        b"{}",
        b"\xff\xff",
        b"{" * 2000,
        body + b" ",
        b"\xef\xbb\xbf" + body,
    ):
        refused(forge(wrong))


@pytest.mark.parametrize("length", [0, 4097, 65535])
def test_a_header_of_a_forbidden_length_is_refused(length: int) -> None:
    file = encrypt(b"x")
    refused(MAGIC + length.to_bytes(2, "big") + file[len(MAGIC) + 2 :])


@pytest.mark.parametrize("magic", [b"CSREC\x00\x02\n", b"RIFF\x00\x00\x00\x00", b""])
def test_another_magic_is_refused(magic: bytes) -> None:
    refused(magic + encrypt(b"x")[len(MAGIC) :])


def test_a_header_holds_nothing_personal() -> None:
    members = json.loads(HEADER.encode()[len(MAGIC) + 2 :])
    assert members.keys() == {"alg", "co", "kid", "mime", "pbx", "rec", "v", "wrap"}


def test_peaks_open_with_their_own_header_and_key_only() -> None:
    peaks = os.urandom(802)
    sealed = archive.encrypt_peaks(HEADER, CEK, peaks)
    assert archive.decrypt_peaks(HEADER.encode(), CEK, sealed) == peaks
    other = replace(HEADER, rec=uuid4()).encode()
    for header, cek, data in (
        (other, CEK, sealed),
        (HEADER.encode(), bytes(32), sealed),
        (HEADER.encode(), CEK, sealed[:-1]),
        (HEADER.encode(), CEK, sealed + b"x"),
        (HEADER.encode(), CEK, b""),
        (HEADER.encode(), CEK, encrypt(peaks)[len(HEADER.encode()) :]),
    ):
        with pytest.raises(ArchiveError):
            archive.decrypt_peaks(header, cek, data)
