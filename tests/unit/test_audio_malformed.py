"""The scanner on WAV files that are unfinished, odd or broken: it says so, or refuses them."""

import random
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadMedia
from daemons.archiver.audio import AudioInfo, Scanner

ULAW, GSM = 7, 0x31
SPEECH = random.Random(1).randbytes(24_000)
LIST = b"LIST" + struct.pack("<I", 4) + b"INFO"
DEAD = 0xFFFFFFFF


def fmt(tag: int = ULAW, channels: int = 1, rate: int = 8000, bits: int = 8) -> bytes:
    align = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    if tag == GSM:
        body = struct.pack("<HHIIHHHH", tag, 1, rate, 1625, 65, 0, 2, 320)
    return b"fmt " + struct.pack("<I", len(body)) + body


def riff(
    data: bytes,
    *,
    before: bytes = b"",
    after: bytes = b"",
    size: int | None = None,
    total: int | None = None,
    format: bytes | None = None,
) -> bytes:
    size = len(data) if size is None else size
    chunks = (fmt() if format is None else format) + before + b"data" + struct.pack("<I", size)
    body = b"WAVE" + chunks + data + after
    return b"RIFF" + struct.pack("<I", len(body) if total is None else total) + body


def scan(data: bytes, piece: int = 0) -> AudioInfo:
    with Scanner() as scanner:
        for at in range(0, len(data), piece or len(data) or 1):
            scanner.feed(data[at : at + (piece or len(data))])
        return scanner.finish()


@pytest.mark.parametrize("size", [0, DEAD, 0x7FFFFFFF, len(SPEECH) + 2])
def test_when_the_pbx_died_then_what_came_counts_and_it_is_unfinished(size: int) -> None:
    for total in (0, DEAD, size + 36 & DEAD):
        info = scan(riff(SPEECH, size=size, total=total))
        assert (info.seconds, info.data_size, info.unfinished) == (3.0, len(SPEECH), True)


def test_when_the_header_is_older_than_the_samples_then_all_samples_count() -> None:
    info = scan(riff(SPEECH, size=8000, total=8036))
    assert (info.seconds, info.data_size, info.unfinished) == (3.0, len(SPEECH), True)


@pytest.mark.parametrize("total", [0, 36 + 8000])
def test_when_only_the_size_of_the_file_disagrees_then_it_is_unfinished(total: int) -> None:
    info = scan(riff(SPEECH, total=total))
    assert (info.seconds, info.unfinished) == (3.0, True)


def test_when_the_file_is_cut_then_it_is_unfinished() -> None:
    info = scan(riff(SPEECH)[:-10])
    assert (info.data_size, info.unfinished) == (len(SPEECH) - 10, True)


@pytest.mark.parametrize("total", [36, 0])
def test_when_there_is_only_a_header_then_it_lasts_no_time(total: int) -> None:
    info = scan(riff(b"", total=total))
    assert (info.seconds, info.data_size, info.data_offset) == (0.0, 0, 44)
    assert info.peaks == b"\x01\x01"
    assert info.unfinished == (total == 0)


@pytest.mark.parametrize("tag", [GSM, 0x55])
def test_when_a_compressed_file_is_only_a_header_then_it_lasts_no_time(tag: int) -> None:
    info = scan(riff(b"", format=fmt(tag)))
    assert (info.seconds, info.data_size, info.unfinished) == (0.0, 0, False)


@pytest.mark.parametrize("pad", [b"", b"\0"])
@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("after", [b"", LIST])
def test_when_the_samples_are_odd_then_a_pad_byte_may_come_or_not(
    pad: bytes, counted: int, after: bytes
) -> None:
    odd = SPEECH[:-1]
    file = riff(odd, after=pad + after)
    total = len(file) - 8 - (len(pad) if not counted else 0)
    info = scan(file[:4] + struct.pack("<I", total) + file[8:])
    assert (info.data_size, info.unfinished) == (len(odd), False)


@pytest.mark.parametrize("pad", [b"", b"\0", b"\xff"])
def test_when_a_chunk_before_the_samples_is_odd_then_a_pad_byte_may_come_or_not(
    pad: bytes,
) -> None:
    odd = b"note" + struct.pack("<I", 3) + b"abc" + pad
    for piece in (0, 1, 7):
        info = scan(riff(SPEECH, before=odd), piece)
        assert (info.data_size, info.data_offset) == (len(SPEECH), 44 + len(odd))


def test_when_chunks_follow_then_they_are_not_samples() -> None:
    noise = b"bext" + struct.pack("<I", 100_000) + bytes([0x80]) * 100_000
    quiet = bytes([0xFF]) * 24_000
    for piece in (0, 1000):
        info = scan(riff(quiet, before=LIST * 3, after=LIST + noise), piece)
        assert (info.seconds, info.data_size, info.unfinished) == (3.0, 24_000, False)
        assert info.peaks is not None
        assert max(info.peaks[2:]) == 0


def test_when_gsm_has_an_odd_length_then_only_whole_blocks_are_heard() -> None:
    info = scan(riff(SPEECH[: 65 * 33 + 12], format=fmt(GSM)))
    assert (info.seconds, info.data_size) == (33 * 320 / 8000, 65 * 33 + 12)
    assert not info.unfinished


@pytest.mark.parametrize(
    "file",
    [
        riff(SPEECH, format=b""),
        riff(SPEECH, format=b"fmt \x04\0\0\0\x07\0\x01\0"),
        riff(SPEECH)[:40],
        riff(SPEECH)[:11],
        b"RIFF" + riff(SPEECH)[4:8] + b"AVI " + riff(SPEECH)[12:],
        riff(b"").replace(b"data", b"\x00\x01\x02\x03"),
        b"ID3\x04\0\0\0\0\x10\0" + bytes(3000),
        b"\xff\xfb\x90\x00" * 5000,
        random.Random(2).randbytes(200_000),
    ],
)
def test_when_the_file_makes_no_sense_then_it_is_refused(file: bytes) -> None:
    with pytest.raises(BadMedia):
        scan(file)


BASES = [
    riff(SPEECH[:500], before=LIST, after=LIST),
    riff(SPEECH[:500], format=fmt(1, 2, 8000, 16)),
    riff(SPEECH[:500], format=fmt(0xFFFE, 2, 8000, 16)),
    riff(b"", after=LIST),
]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 600),
    st.integers(1, 700),
)
def test_when_headers_are_mutated_then_they_are_read_or_refused_the_same_however_cut(
    base: bytes, changes: list[tuple[int, int]], end: int, piece: int
) -> None:
    file = bytearray(base)
    for at, octet in changes:
        file[at % len(file)] = octet

    def outcome(piece: int) -> AudioInfo | str:
        try:
            info = scan(bytes(file[:end]), piece)
        except BadMedia as error:
            return str(error)
        assert 0 <= info.data_offset <= info.data_offset + info.data_size <= len(file[:end])
        assert info.seconds >= 0
        return info

    assert outcome(piece) == outcome(0)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"ID3", b"\xff\xfb"]))
def test_when_bytes_are_random_then_nothing_but_bad_media_comes_of_it(
    data: bytes, start: bytes
) -> None:
    with pytest.raises(BadMedia):
        scan(start + data)


@pytest.mark.parametrize("format", [fmt(), fmt(1, 2, 16000, 16)])
def test_when_300_megabytes_stream_by_then_memory_stays_flat(format: bytes) -> None:
    piece = SPEECH[:16_384] * 64
    with Scanner() as scanner:
        scanner.feed(riff(b"", size=DEAD, format=format))
        scanner.feed(piece)
        tracemalloc.start()
        try:
            for _ in range(300):
                scanner.feed(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        info = scanner.finish()
    assert peak < 8 << 20
    assert info.data_size == 301 * len(piece)
    assert info.peaks is not None
    assert 400 <= (len(info.peaks) - 2) // info.channels <= 800
