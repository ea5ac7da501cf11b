"""Renditions: every byte of any range, against ffmpeg's own decoding."""

import struct
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import transcode
from common.errors import CallStashError
from common.transcode import AudioFacts, rendition
from daemons.archiver.audio import Scanner
from tests.unit import sounds
from tests.unit.sounds import linear, recording, wav


@lru_cache
def facts(data: bytes) -> AudioFacts:
    with Scanner() as scanner:
        scanner.feed(data)
        info = scanner.finish()
    mime = "audio/wav" if data.startswith(b"RIFF") else "audio/mpeg"
    return AudioFacts(
        mime, info.codec, info.channels, info.sample_rate,
        info.data_offset, info.data_size, len(data),
    )  # fmt: skip


def playable(data: bytes, step: int = 1013) -> transcode.Rendition:
    def read(start: int, stop: int) -> Iterator[bytes]:
        assert 0 <= start <= stop <= len(data)
        for at in range(start, stop, step):
            yield data[at : min(at + step, stop)]

    return rendition(facts(data), read)


def everything(made: transcode.Rendition) -> bytes:
    return b"".join(made.read_range(0, made.size))


@lru_cache
def converted(kind: str) -> bytes:
    return everything(playable(recording(kind, 2)))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", [kind for kind in sounds.CODECS if kind != "mp3"])
def test_a_rendition_holds_the_samples_that_ffmpeg_hears(kind: str, channels: int) -> None:
    data = recording(kind, channels)
    made = playable(data)
    whole = everything(made)
    assert made.mime == "audio/wav" and made.size == len(whole)
    size = len(whole) - 44
    assert whole[:44] == b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt \x10\0\0\0" + linear(
        1, channels, 2
    ) + b"data" + struct.pack("<I", size)
    assert whole[44:] == sounds.heard(data).T.tobytes()


@pytest.mark.parametrize(("kind", "tag"), [("ulaw", 7), ("alaw", 6)])
def test_each_code_of_g711_is_what_ffmpeg_says(kind: str, tag: int) -> None:
    data = wav(linear(tag, 1, 1), bytes(range(256)))
    assert everything(playable(data))[44:] == sounds.heard(data).tobytes(), kind


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["ulaw", "pcm", "pcm24", "float32", "mp3"]),
    st.integers(-5, 60_000),
    st.integers(-5, 60_000),
    st.sampled_from([1, 2, 3, 1000, 65536]),
)
def test_a_range_is_that_part_of_the_whole(kind: str, start: int, stop: int, step: int) -> None:
    data = recording(kind, 2)
    start, stop = (start // 20, stop // 20) if step < 10 else (start, stop)
    whole = converted(kind)
    part = b"".join(playable(data, step).read_range(start, stop))
    assert part == whole[max(0, start) : max(0, stop)]


def test_gsm_is_the_same_whatever_range_is_asked_for_and_close_to_one_decoding() -> None:
    data = recording("gsm", 1, 125)
    made = playable(data, 65536)
    whole = everything(made)
    blocks = facts(data).data_size // 65
    assert made.size == len(whole) == 44 + blocks * 640
    seam = 44 + transcode.SEGMENT * 640
    for start, stop in (
        (0, 10), (40, 50), (43, 1001), (seam - 3, seam + 5), (seam, seam + 1),
        (seam + 777, seam + 1201), (2 * seam - 99, 2 * seam), (made.size - 7, made.size + 9),
    ):  # fmt: skip
        assert b"".join(made.read_range(start, stop)) == whole[start:stop]
    ours = np.frombuffer(whole[44:], "<i2").astype(float)
    theirs = sounds.heard(data)[0, : len(ours)].astype(float)
    assert len(theirs) == len(ours)
    noise = ((ours - theirs) ** 2).sum() or 1e-9
    assert 10 * np.log10((theirs**2).sum() / noise) > 40
    near = slice(transcode.SEGMENT * 320, transcode.SEGMENT * 320 + 1600)
    noise = ((ours[near] - theirs[near]) ** 2).sum() or 1e-9
    assert 10 * np.log10((theirs[near] ** 2).sum() / noise) > 25


@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_becomes_wav_of_the_length_that_the_archiver_found(channels: int) -> None:
    data = recording("mp3", channels)
    with Scanner() as scanner:
        scanner.feed(data)
        seconds = scanner.finish().seconds

    def read(start: int, stop: int) -> Iterator[bytes]:
        yield data[start:stop]

    found = facts(data)
    made = transcode.wav(found, seconds, read)
    whole = everything(made)
    frame = 2 * found.channels
    assert made.mime == "audio/wav"
    assert made.size == len(whole) == 44 + round(seconds * found.sample_rate) * frame
    heard = np.frombuffer(whole[44:], "<i2").astype(float)
    assert np.abs(heard).max() > 1000
    for start, stop in ((0, 44), (40, 60), (1000, 5001), (len(whole) - 7, len(whole))):
        assert b"".join(made.read_range(start, stop)) == whole[start:stop]


def test_what_is_no_mp3_becomes_the_wav_that_is_played() -> None:
    data = recording("gsm")

    def read(start: int, stop: int) -> Iterator[bytes]:
        yield data[start:stop]

    made = transcode.wav(facts(data), 1.0, read)
    assert everything(made) == everything(playable(data))


def test_mp3_and_what_nobody_knows_stay_as_they_are() -> None:
    bare = recording("mp3")
    made = playable(bare)
    assert (made.mime, everything(made)) == ("audio/mpeg", bare)
    wrapped = playable(wav(struct.pack("<HHIIHHH", 0x55, 1, 8000, 4000, 1, 0, 0), bare))
    assert (wrapped.mime, everything(wrapped)) == ("audio/mpeg", bare)
    adpcm = wav(linear(0x11, 1, 1), bytes(999))
    made = playable(adpcm)
    assert (made.mime, everything(made)) == ("application/octet-stream", adpcm)


def test_a_part_of_a_frame_at_the_end_is_left_out() -> None:
    made = playable(wav(linear(1, 2, 2), b"abcdefg"))
    assert everything(made)[44:] == b"abcd"
    assert everything(playable(wav(linear(1, 2, 2), b""))) == made_header(2)


def made_header(channels: int) -> bytes:
    return transcode.wav_header(channels, 8000, 0)


def test_sizes_beyond_the_format_are_its_highest() -> None:
    huge = AudioFacts("audio/wav", "ulaw", 1, 8000, 44, 3 << 30, (3 << 30) + 44)
    made = rendition(huge, lambda start, stop: iter([b"\xff" * (stop - start)]))
    assert made.size == 44 + (6 << 30)
    head = b"".join(made.read_range(0, 44))
    assert head[4:8] == head[40:44] == b"\xff" * 4
    assert b"".join(made.read_range(made.size - 3, made.size)) == bytes(3)


@pytest.mark.usefixtures("leaves_no_child")
def test_whoever_stops_listening_leaves_no_child() -> None:
    made = playable(recording("gsm", 1, 125), 65536)
    pieces = made.read_range(0, made.size)
    next(pieces)
    del pieces


def test_gsm_without_ffmpeg_fails_before_any_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    made = playable(recording("gsm"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CallStashError, match="ffmpeg"):
        next(made.read_range(0, made.size))
