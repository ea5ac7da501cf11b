"""The archive format: fixed vectors, agreement with the specification and the library, ranges."""

import base64
import hashlib
import io
import json
import os
import tracemalloc
import zlib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from common import archive
from common.archive import CHUNK, MAGIC, Encryptor, Header, Reader
from common.errors import ArchiveError
from tests.archived import CEK, CELL, HEADER, encrypt, open_file, read, split

FOLDER = Path(__file__).parent.parent / "vectors"
VECTORS = json.loads((FOLDER / "archive.json").read_text())
C2SP = json.loads((FOLDER / "c2sp-chunked-encryption.json").read_text())
WYCHEPROOF = json.loads((FOLDER / "wycheproof-cobblestone-256.json").read_text())
ours = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["length"]))


def noise(name: str, length: int) -> bytes:
    return hashlib.shake_256(f"{name}{length}".encode()).digest(length)


def header_of(vector: dict[str, Any]) -> Header:
    pbx, co, rec = (UUID(vector[member]) for member in ("pbx", "co", "rec"))
    return Header(pbx, co, rec, vector["kid"], vector["mime"])


@ours
def test_the_fixed_vectors_decrypt(vector: dict[str, Any]) -> None:
    header, cek = header_of(vector), bytes.fromhex(vector["cek"])
    file = base64.b64decode(vector["file"])
    assert read(file, header, cek) == noise("audio", vector["length"])
    assert open_file(file, header, cek).header == header
    peaks = archive.decrypt_peaks(header.encode(), cek, base64.b64decode(vector["peaks"]))
    assert peaks == hashlib.shake_256(f"peaks{vector['length']}".encode()).digest(802)


@ours
def test_the_fixed_vectors_are_what_we_write(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    header, cek = header_of(vector), bytes.fromhex(vector["cek"])
    file, peaks = base64.b64decode(vector["file"]), base64.b64decode(vector["peaks"])
    start = len(header.encode())
    monkeypatch.setattr(os, "urandom", lambda size: file[start : start + size])
    assert encrypt(noise("audio", vector["length"]), header, cek) == file
    monkeypatch.setattr(os, "urandom", lambda size: peaks[:size])
    plain = hashlib.shake_256(f"peaks{vector['length']}".encode()).digest(802)
    assert archive.encrypt_peaks(header, cek, plain) == peaks


def plaintext_of(key: str, context: str, message: bytes) -> bytes:
    reader = archive._MessageReader(io.BytesIO(message), bytes.fromhex(key), context.encode())
    return b"".join(reader.read_range(0, reader.size))


@pytest.mark.parametrize("vector", WYCHEPROOF, ids=lambda vector: str(vector["comment"]))
def test_the_vectors_of_wycheproof(vector: dict[str, Any]) -> None:
    message = zlib.decompress(bytes.fromhex(vector["ct"]))
    plaintext = plaintext_of(vector["key"], vector["ctx"], message)
    assert len(plaintext) == vector["msgLength"]
    assert hashlib.sha512(plaintext).hexdigest() == vector["msgSha512"]


@pytest.mark.parametrize("vector", C2SP, ids=lambda vector: str(vector["name"]))
def test_the_vectors_of_the_first_edition_but_for_its_hash(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "SHA512", SHA256)
    message = base64.b64decode(vector["ciphertext"] or "")
    if vector.get("compressed"):
        message = zlib.decompress(message)
    if vector["expect"] == "failure":
        with pytest.raises(ArchiveError):
            plaintext_of(vector["key"], vector["context"], message)
    else:
        plaintext = plaintext_of(vector["key"], vector["context"], message)
        assert len(plaintext) == vector["payload_length"]
        assert hashlib.sha256(plaintext).hexdigest() == vector["payload_sha256"]


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 100_000])
def test_the_library_and_we_read_each_other(length: int) -> None:
    cobblestone = pytest.importorskip(
        "cryptography.cobblestone", reason="this version of cryptography has no Cobblestone"
    )
    plaintext = os.urandom(length)
    prefix = HEADER.encode()
    for purpose, write, opened in (
        (b"recording", encrypt, read),
        (
            b"peaks",
            lambda data: prefix + archive.encrypt_peaks(HEADER, CEK, data),
            lambda data: archive.decrypt_peaks(prefix, CEK, data[len(prefix) :]),
        ),
    ):
        context = b"callstash/" + purpose + b"/v1\0" + hashlib.sha256(prefix).digest()
        theirs = cobblestone.Cobblestone256Encryptor(CEK, context)
        assert opened(prefix + theirs.update(plaintext) + theirs.finalize()) == plaintext
        decryptor = cobblestone.Cobblestone256Decryptor(CEK, context)
        message = write(plaintext)[len(prefix) :]
        assert decryptor.update(message) + decryptor.finalize() == plaintext


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4 * CHUNK), st.integers(-10, 4 * CHUNK), st.integers(-10, 5 * CHUNK))
def test_any_range_is_that_part_of_the_plaintext(length: int, start: int, stop: int) -> None:
    plaintext = noise("range", length)
    reader = open_file(encrypt(plaintext))
    assert b"".join(reader.read_range(start, stop)) == plaintext[max(0, start) : max(0, stop)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ranges_around_the_ends_of_chunks_and_blocks(data: st.DataObject) -> None:
    length = 40 * CHUNK + 5
    near = st.builds(
        lambda chunk, offset: chunk * CHUNK + offset, st.integers(0, 40), st.integers(-2, 6)
    )
    start, stop = data.draw(near), data.draw(near)
    assert b"".join(LONG.read_range(start, stop)) == PLAIN[max(0, start) : max(0, stop)]
    assert LONG.size == length


PLAIN = noise("long", 40 * CHUNK + 5)
LONG = open_file(encrypt(PLAIN))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40_000), max_size=8))
def test_how_the_bytes_come_in_does_not_matter(sizes: list[int]) -> None:
    encryptor = Encryptor(HEADER, CEK)
    file, plaintext, buffer = encryptor.prefix, b"", bytearray(40_000)
    for number, size in enumerate(sizes):  # through one buffer, as recv_into would
        buffer[:size] = noise(str(number), size)
        plaintext += buffer[:size]
        file += b"".join(encryptor.update(memoryview(buffer)[:size]))
    assert read(file + encryptor.finish()) == plaintext


def test_a_finished_encryptor_takes_nothing_more() -> None:
    encryptor = Encryptor(HEADER, CEK)
    encryptor.finish()
    with pytest.raises(AttributeError):
        encryptor.update(b"x")
    with pytest.raises(AttributeError):
        encryptor.finish()


def test_two_files_of_one_recording_have_nothing_in_common_but_the_header() -> None:
    start = len(HEADER.encode())
    first, second = encrypt(bytes(CHUNK)), encrypt(bytes(CHUNK))
    assert first[:start] == second[:start]
    assert first[start : start + 24] != second[start : start + 24]
    assert not set(split(first)[1]) & set(split(second)[1])


def test_only_the_chunks_of_a_range_are_read() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            Counting.taken += len(data)
            return data

    file = Counting(encrypt(bytes(100 * CHUNK)))
    reader = Reader(file, CEK, recording=HEADER.rec, company=HEADER.co)
    for start, stop in ((5, 10), (0, CHUNK), (CHUNK - 1, CHUNK)):
        Counting.taken = 0
        piece = b"".join(reader.read_range(70 * CHUNK + start, 70 * CHUNK + stop))
        assert (piece, Counting.taken) == (bytes(stop - start), CELL)


def test_a_file_that_gives_less_than_asked_is_read_all_the_same() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 5000))

    plaintext = os.urandom(3 * CHUNK)
    reader = Reader(Dripping(encrypt(plaintext)), CEK, recording=HEADER.rec, company=HEADER.co)
    assert b"".join(reader.read_range(0, reader.size)) == plaintext


def test_a_long_recording_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    path, piece = tmp_path / "long.csrec", bytes(CHUNK * 8)
    tracemalloc.start()
    try:
        with path.open("wb") as file:
            encryptor = Encryptor(HEADER, CEK)
            file.write(encryptor.prefix)
            for _ in range(256):
                file.writelines(encryptor.update(piece))
            file.write(encryptor.finish())
        with path.open("rb", buffering=0) as file:
            reader = Reader(file, CEK, recording=HEADER.rec, company=HEADER.co)
            assert sum(map(len, reader.read_range(0, reader.size))) == 256 * len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 32 * 2**20 > 16 * peak


def test_a_header_holds_nothing_personal_and_is_canonical() -> None:
    body = HEADER.encode()[len(MAGIC) + 2 :]
    members = json.loads(body)
    assert members == {
        "alg": "cobblestone-256", "v": 1, "wrap": "RSA-OAEP-256", "kid": HEADER.kid,
        "mime": "audio/wav", "pbx": str(HEADER.pbx), "co": str(HEADER.co), "rec": str(HEADER.rec),
    }  # fmt: skip
    assert json.dumps(members, sort_keys=True, separators=(",", ":")).encode() == body
