"""Whatever was altered, cut, swapped or forged is refused: nothing of it is handed out."""

import io
import json
import os
import random
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from common import archive
from common.archive import CHUNK, MAGIC, TAG, Encryptor, Header, Reader
from common.errors import ArchiveError
from tests.archived import CEK, CELL, HEADER, encrypt, open_file, read, split


def refused(file: bytes, **keywords: Any) -> None:
    try:  # pytest.raises, for tens of thousands of files, takes longer than the reader
        read(file, **keywords)
    except ArchiveError:
        return
    pytest.fail("accepted")


@pytest.mark.parametrize("length", [700, CHUNK + 700])
def test_ten_thousand_flipped_bits_are_refused(length: int) -> None:  # in each of two files
    file = bytearray(encrypt(os.urandom(length)))
    chance = random.Random(length)
    for bit in chance.choices(range(len(file) * 8), k=10_000):
        file[bit // 8] ^= 1 << bit % 8
        refused(bytes(file))
        file[bit // 8] ^= 1 << bit % 8
    assert len(read(bytes(file))) == length


def test_every_flipped_bit_before_the_chunks_is_refused() -> None:
    file = bytearray(encrypt(b"hello"))
    for bit in range(len(split(bytes(file))[0]) * 8):
        file[bit // 8] ^= 1 << bit % 8
        refused(bytes(file))
        file[bit // 8] ^= 1 << bit % 8


def test_a_flipped_bit_in_any_chunk_is_refused() -> None:
    start, chunks = split(encrypt(os.urandom(4 * CHUNK + 100)))
    for offset in range(len(start), len(start) + sum(map(len, chunks)), 1009):
        altered = bytearray(start + b"".join(chunks))
        altered[offset] ^= 0x10
        refused(bytes(altered))


def test_nothing_of_an_altered_chunk_is_handed_out() -> None:
    file = bytearray(encrypt(bytes(40 * CHUNK)))
    file[-30 * CELL] ^= 1
    pieces, reader = [], open_file(bytes(file))
    with pytest.raises(ArchiveError, match="chunk 10 was altered"):
        for piece in reader.read_range(0, reader.size):
            pieces.append(piece)
    assert sum(map(len, pieces)) <= 10 * CHUNK
    assert b"".join(reader.read_range(11 * CHUNK, reader.size)) == bytes(29 * CHUNK)


def test_every_truncation_is_refused() -> None:
    file = encrypt(os.urandom(CHUNK + 40))
    for length in range(len(file)):
        refused(file[:length])


def test_a_cut_where_no_tag_fits_is_called_a_cut() -> None:
    start, (whole, _) = split(encrypt(bytes(CHUNK)))
    for file in (start[:-1], start, start + whole, start + whole + bytes(TAG - 1)):
        with pytest.raises(ArchiveError, match="cut off"):
            read(file)


def test_a_cut_at_the_end_of_a_chunk_is_refused() -> None:
    start, chunks = split(encrypt(os.urandom(5 * CHUNK)))
    for count in range(len(chunks)):
        refused(start + b"".join(chunks[:count]))


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    file = io.BytesIO(encrypt(os.urandom(40 * CHUNK)))
    reader = Reader(file, CEK, recording=HEADER.rec, company=HEADER.co)
    pieces = reader.read_range(0, reader.size)
    assert next(pieces)
    file.truncate(20 * CELL)
    with pytest.raises(ArchiveError, match="cut off"):
        list(pieces)


@pytest.mark.parametrize("extra", [1, TAG - 1, TAG, TAG + 1, CELL - 1, CELL, 5 * CELL])
def test_anything_after_the_last_chunk_is_refused(extra: int) -> None:
    refused(encrypt(os.urandom(CHUNK + 7)) + os.urandom(extra))
    refused(encrypt(os.urandom(CHUNK)) + os.urandom(extra))


def test_an_encrypted_chunk_after_the_last_one_is_refused() -> None:
    encryptor = Encryptor(HEADER, CEK)
    file = encryptor.prefix + encryptor.finish()
    refused(file + encryptor._keys.seal(1, b"appended by somebody who has the key"))


def test_chunks_in_another_order_missing_doubled_or_of_another_file_are_refused() -> None:
    start, chunks = split(encrypt(os.urandom(5 * CHUNK + 50)))
    other_start, other = split(encrypt(os.urandom(5 * CHUNK + 50)))
    for first in range(6):
        for second in range(first + 1, 6):
            swapped = chunks.copy()
            swapped[first], swapped[second] = swapped[second], swapped[first]
            refused(start + b"".join(swapped))
        refused(start + b"".join(chunks[:first] + chunks[first + 1 :]))
        refused(start + b"".join(chunks[: first + 1] + chunks[first:]))
        refused(start + b"".join([*chunks[:first], other[first], *chunks[first + 1 :]]))
    refused(start + b"".join(other))
    refused(other_start + b"".join(chunks))


def test_two_files_swapped_together_with_their_keys_are_refused() -> None:
    other = replace(HEADER, rec=uuid4())
    file = encrypt(b"what the other one said", other, bytes(32))
    assert read(file, other, bytes(32))
    refused(file, header=HEADER, cek=bytes(32))
    refused(file, header=replace(other, co=uuid4()), cek=bytes(32))


def test_another_key_is_refused_before_anything_is_decrypted() -> None:
    file = encrypt(b"x")
    with pytest.raises(ArchiveError, match="the content key does not belong"):
        open_file(file, cek=bytes(32))
    for wrong in (b"", CEK[:-1], CEK + b"\0"):
        with pytest.raises(ArchiveError, match="a content key has 32 bytes"):
            open_file(file, cek=wrong)
        with pytest.raises(ArchiveError, match="a content key has 32 bytes"):
            Encryptor(HEADER, wrong)


def test_a_recording_of_more_chunks_than_the_format_allows_is_refused() -> None:
    encryptor = Encryptor(HEADER, CEK)
    encryptor._number = 2**38 - 1
    assert encryptor.update(bytes(CHUNK))
    with pytest.raises(ArchiveError, match="2\\^38 chunks"):
        encryptor.finish()


def forge(body: bytes, magic: bytes = MAGIC) -> bytes:
    """Return a file with this header, everything behind it valid for exactly that header."""

    class Forged(Header):
        def encode(self) -> bytes:
            return magic + len(body).to_bytes(2, "big") + body

    return encrypt(b"hello", Forged(**vars(HEADER)))


BODY = HEADER.encode()[len(MAGIC) + 2 :]
MEMBERS: dict[str, Any] = json.loads(BODY)


def rewritten(members: dict[str, Any], **dump: Any) -> bytes:
    return json.dumps(members, **{"sort_keys": True, "separators": (",", ":"), **dump}).encode()


def test_a_rewritten_but_equal_header_is_accepted() -> None:
    assert read(forge(rewritten(MEMBERS))) == b"hello"
    assert read(forge(rewritten(MEMBERS | {"mime": "audio/x-gsm.1+a"}))) == b"hello"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("v", 2), ("v", 0), ("v", -1), ("v", True), ("v", 1.0), ("v", "1"), ("v", None),
        ("v", [1]), ("alg", "cobblestone-128"), ("alg", "COBBLESTONE-256"), ("alg", ""),
        ("alg", None), ("wrap", "RSA1_5"), ("wrap", "none"), ("wrap", 1), ("x", 1), ("", ""),
        ("rec", str(HEADER.rec).upper()), ("co", str(HEADER.co).upper()),
        ("pbx", str(HEADER.pbx).upper()), ("rec", HEADER.rec.hex), ("co", f"{{{HEADER.co}}}"),
        ("pbx", f"urn:uuid:{HEADER.pbx}"), ("rec", f"{HEADER.rec}\n"), ("rec", f" {HEADER.rec}"),
        ("rec", "x"), ("rec", 7), ("rec", None), ("rec", {}), ("kid", ""), ("kid", "0" * 15),
        ("kid", "0" * 17), ("kid", "A" * 16), ("kid", "g" * 16), ("kid", None), ("kid", []),
        ("mime", ""), ("mime", 7), ("mime", "audio"), ("mime", "Audio/WAV"), ("mime", "a/b/c"),
        ("mime", "audio/wav\r\nX: y"), ("mime", 'audio/"'), ("mime", "audio/\\"),
        ("mime", "audio/é"), ("mime", "audio/wav; codecs=7"), ("mime", f"audio/{'x' * 128}"),
    ],
)  # fmt: skip
def test_a_header_with_a_wrong_member_is_refused(member: str, value: object) -> None:
    refused(forge(rewritten(MEMBERS | {member: value})))


@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_a_header_without_one_of_its_members_is_refused(member: str) -> None:
    refused(forge(rewritten({key: MEMBERS[key] for key in MEMBERS if key != member})))


@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_a_header_with_a_doubled_member_is_refused(member: str) -> None:
    one = rewritten({member: MEMBERS[member]})[1:-1]
    refused(forge(BODY.replace(one, one + b"," + one)))
    refused(forge(BODY[:-1] + b"," + one + b"}"))


@pytest.mark.parametrize(
    "dump",
    [{"separators": (", ", ":")}, {"separators": (",", ": ")}, {"indent": 1}, {"indent": 0}],
    ids=str,
)
def test_a_header_with_white_space_is_refused(dump: dict[str, Any]) -> None:
    refused(forge(rewritten(MEMBERS, **dump)))


@pytest.mark.parametrize(
    "body",
    [
        rewritten(dict(reversed(MEMBERS.items())), sort_keys=False),
        BODY.replace(b"audio/wav", b"audio\\/wav"), BODY.replace(b"audio", b"\\u0061udio"),
        BODY + b" ", b" " + BODY, BODY + b"\n", BODY + b"\0", b"\xef\xbb\xbf" + BODY,
        BODY.decode().encode("utf-16"), BODY.decode().encode("utf-16-be"), BODY + BODY,
        b"[" + BODY + b"]", b"[]", b"{}", b"1", b"null", b"\xff\xff", b"[" * 4096, b"{" * 4096,
        b'{"":' * 1000, b"9" * 4096, BODY[:-1], BODY[1:],
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_a_header_that_is_not_canonical_is_refused(body: bytes) -> None:
    refused(forge(body))


@pytest.mark.parametrize("group", range(5))
@pytest.mark.parametrize("member", ["co", "pbx", "rec"])
def test_an_id_with_upper_case_in_any_of_its_groups_is_refused(member: str, group: int) -> None:
    groups = MEMBERS[member].split("-")
    assert groups[group] != groups[group].upper()
    groups[group] = groups[group].upper()
    refused(forge(rewritten(MEMBERS | {member: "-".join(groups)})))


@pytest.mark.parametrize("length", [0, 4097, 65535])
def test_a_header_of_a_length_that_the_format_forbids_is_not_read(length: int) -> None:
    with pytest.raises(ArchiveError, match="not an archive file"):
        read(forge(b"[" * length))


@pytest.mark.parametrize("length", [1, len(BODY) - 1, len(BODY) + 1, 4096])
def test_a_header_of_a_wrong_length_is_refused(length: int) -> None:
    file = encrypt(bytes(CHUNK))
    refused(MAGIC + length.to_bytes(2, "big") + file[len(MAGIC) + 2 :])


@pytest.mark.parametrize("magic", [b"CSREC\x00\x02\n", b"CSREC\x00\x01\r", b"RIFF\x00\x00\x00\x00"])
def test_another_magic_is_refused(magic: bytes) -> None:
    with pytest.raises(ArchiveError, match="not an archive file"):
        read(forge(BODY, magic))


@pytest.mark.parametrize(
    "wrong", [{"kid": "A" * 16}, {"kid": ""}, {"mime": "audio"}, {"mime": "ä/b"}]
)
def test_a_header_that_no_reader_would_accept_is_not_written(wrong: dict[str, str]) -> None:
    with pytest.raises(ArchiveError):
        Encryptor(replace(HEADER, **wrong), CEK)  # type: ignore[arg-type]


def test_peaks_open_with_their_own_header_and_key_only() -> None:
    peaks, head = os.urandom(802), HEADER.encode()
    sealed = archive.encrypt_peaks(HEADER, CEK, peaks)
    assert archive.decrypt_peaks(head, CEK, sealed) == peaks
    for header, cek, data in (
        (replace(HEADER, rec=uuid4()).encode(), CEK, sealed),
        (head, bytes(32), sealed),
        (head, b"", sealed),
        (head, CEK, sealed + b"x"),
        (head, CEK, encrypt(peaks)[len(head) :]),
        *((head, CEK, sealed[:length]) for length in range(len(sealed))),
    ):
        with pytest.raises(ArchiveError):
            archive.decrypt_peaks(header, cek, data)


def test_peaks_are_not_a_recording() -> None:
    refused(HEADER.encode() + archive.encrypt_peaks(HEADER, CEK, bytes(802)))
