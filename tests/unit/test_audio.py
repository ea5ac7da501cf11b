"""The scanner: what it finds in real recordings, in broken ones, and in what is none."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadMedia
from daemons.archiver.audio import AudioInfo, Scanner
from tests.unit import sounds
from tests.unit.sounds import linear, recording, wav

PCM = linear(1, 1, 2)
KINDS = [*sounds.CODECS, "gsm"]
LINEAR = [kind for kind in KINDS if kind not in ("gsm", "mp3")]


def scan(data: bytes, step: int = 1 << 16) -> AudioInfo:
    with Scanner() as scanner:
        for start in range(0, len(data), step):
            scanner.feed(data[start : start + step])
        return scanner.finish()


def drawn(peaks: bytes | None) -> np.ndarray:  # type: ignore[type-arg]
    assert peaks is not None and peaks[0] == 1
    return np.frombuffer(peaks[2:], np.uint8).reshape(-1, peaks[1]).T.astype(int)


def reference(samples: np.ndarray, count: int) -> np.ndarray:  # type: ignore[type-arg]
    """Return the peaks of `count` windows of a power of 2, the last perhaps incomplete."""
    window = 1
    while -(-samples.shape[1] // window) > count:
        window *= 2
    assert -(-samples.shape[1] // window) == count
    loud = [np.abs(samples[:, at : at + window].astype(int)).max(axis=1)
            for at in range(0, samples.shape[1], window)]  # fmt: skip
    return np.array(loud).T * 255 / 32768


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_it_tells_codec_length_and_peaks_of_what_real_encoders_write(
    kind: str, channels: int
) -> None:
    if kind == "gsm" and channels == 2:
        pytest.skip("GSM in WAV has one channel")
    data = recording(kind, channels)
    info, samples = scan(data), sounds.heard(data)
    assert (info.codec, info.channels, info.sample_rate) == (kind, channels, 8000)
    assert info.seconds == pytest.approx(sounds.SECONDS, abs=0.2)
    assert info.data_offset + info.data_size <= len(data)
    peaks = drawn(info.peaks)
    assert peaks.shape[0] == channels and 400 <= peaks.shape[1] <= 800
    if kind == "mp3":  # the reference may drop another number of samples at the beginning
        assert peaks.max() == pytest.approx(np.abs(samples.astype(int)).max() * 255 / 32768, abs=2)
        return
    if kind != "gsm":
        assert info.seconds == sounds.SECONDS and not info.unfinished
        assert data[info.data_offset - 8 : info.data_offset - 4] == b"data"
    samples = samples[:, : round(info.seconds * 8000)]
    assert np.abs(peaks - reference(samples, peaks.shape[1])).max() <= 0.51


@pytest.mark.parametrize("kind", KINDS)
def test_how_the_stream_is_cut_changes_nothing(kind: str) -> None:
    data = recording(kind)
    whole = scan(data, len(data))
    for step in (997, 8192, 65_537):
        assert scan(data, step) == whole
    assert scan(data[:9000], 1) == scan(data[:9000])


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(LINEAR), st.integers(1, 2))
def test_any_cuts_at_all_change_nothing(draw: st.DataObject, kind: str, channels: int) -> None:
    data = recording(kind, channels, 10 if kind == "ulaw" else 0.5) * 3
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=12)))
    with Scanner() as scanner:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            scanner.feed(memoryview(data)[start:stop])
        assert scanner.finish() == scan(data)


@pytest.mark.parametrize("frames", [1, 399, 400, 800, 801, 1601, 150_000, 1_234_567])
@pytest.mark.parametrize("step", [4096, 100_001])
def test_long_recordings_have_400_to_800_windows(frames: int, step: int) -> None:
    samples = np.random.default_rng(frames).integers(-32768, 32767, frames).astype("<i2")
    peaks = drawn(scan(wav(PCM, samples.tobytes()), step).peaks)
    assert min(frames, 400) <= peaks.shape[1] <= 800
    assert np.abs(peaks - reference(samples[None], peaks.shape[1])).max() <= 0.51


@pytest.mark.parametrize("promised", [0, 0xFFFFFFFF, 5000])
def test_a_recording_in_progress_is_as_long_as_what_came(promised: int) -> None:
    info = scan(wav(PCM, bytes(3200), promised=promised, riff=0))
    assert (info.seconds, info.data_size, info.unfinished) == (0.2, 3200, True)


def test_a_call_that_nobody_answered_is_a_recording_of_no_length() -> None:
    info = scan(wav(PCM, b""))
    assert (info.seconds, info.data_offset, info.data_size) == (0, 44, 0)
    assert info.peaks == b"\x01\x01" and not info.unfinished
    assert scan(wav(PCM, b"", riff=0)).unfinished


def test_what_follows_the_samples_is_not_heard() -> None:
    loud = b"LIST" + struct.pack("<I", 4) + b"\xff\x7f" * 2
    info = scan(wav(PCM, bytes(801 * 2)) + loud)
    assert info.data_size == 1602 and not any(drawn(info.peaks)[0]) and not info.unfinished


@pytest.mark.parametrize("pad", [b"", b"\0", b"p"])
def test_chunks_before_the_samples_may_lack_their_pad_byte(pad: bytes) -> None:
    head = wav(PCM, b"")[:36]
    odd = b"junk" + struct.pack("<I", 100_001) + b"R" * 100_001 + pad
    info = scan(head[:12] + odd + head[12:] + odd + b"data" + struct.pack("<I", 2) + b"ab", 4096)
    assert info.data_offset == 44 + 2 * len(odd) and info.data_size == 2


def test_an_extensible_format_is_what_it_extends() -> None:
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, 2, 8000, 16000, 2, 8, 22, 8, 3)
    guid = struct.pack("<H", 7) + bytes.fromhex("000000001000800000aa00389b71")
    assert scan(wav(fmt + guid, bytes(16))).codec == "ulaw"
    assert scan(wav(fmt + guid[:-1] + b"x", bytes(16))).codec == "other"


@pytest.mark.parametrize(
    "fmt", [linear(0x11, 1, 1), linear(1, 0, 2), linear(1, 200, 2), linear(7, 1, 1)[:4] + bytes(12)]
)
def test_an_unknown_codec_is_kept_without_a_waveform(fmt: bytes) -> None:
    info = scan(wav(fmt, bytes(4000)))
    assert (info.codec, info.peaks, info.data_size) == ("other", None, 4000)


def test_mp3_in_wav_and_mp3_after_tags_are_mp3() -> None:
    bare = recording("mp3")
    frames = bare[scan(bare).data_offset :]
    wrapped = scan(wav(struct.pack("<HHIIHHH", 0x55, 1, 8000, 4000, 1, 0, 0), frames))
    tag = b"ID3\x04\0\0" + bytes((0, 1, 0, 5)) + bytes(128 * 128 + 5)
    tagged = scan(tag + bytes(100) + frames, 333)
    assert tagged.data_offset == len(tag) + 100
    for info in (wrapped, tagged):
        assert (info.codec, info.peaks) == ("mp3", scan(frames).peaks)


@pytest.mark.parametrize(
    "data",
    [b"", b"R", b"RIFF", b"<!DOCTYPE html><html>", b'{"result":"fail"}', bytes(100_000), b"ID3",
     b"\xff\xfb" * 9000, b"RIFF\0\0\0\0AVI " + bytes(90), b"RIFF\0\0\0\0WAVE",
     b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16), recording("pcm")[:43], recording("mp3")[:90]],
)  # fmt: skip
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    for step in (1, 1 << 16):
        with pytest.raises(BadMedia):
            scan(data, step)


@given(st.binary(max_size=3000))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadMedia):
        scan(data, 100)


@settings(max_examples=300, deadline=2000)
@given(
    st.sampled_from(LINEAR),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 3000),
)
def test_a_broken_header_gives_a_result_or_is_refused(
    kind: str, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(recording(kind)[:length])
    for place, value in changes:
        data[place : place + 1] = bytes([value])
    try:
        info = scan(bytes(data), 512)
    except BadMedia:
        return
    assert 0 <= info.data_offset <= info.data_offset + info.data_size <= len(data)
    assert 0 <= info.seconds < 1e7 and 0 <= info.channels < 1 << 15
    assert 0 <= info.sample_rate < 1 << 31


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["gsm", "mp3"]), st.integers(0, 9000), st.binary(min_size=1, max_size=400))
def test_broken_speech_neither_hangs_nor_is_lost(kind: str, place: int, noise: bytes) -> None:
    data = recording(kind)
    info = scan(data[: 70 + place] + noise + data[70 + place + len(noise) :])
    assert info.codec in (kind, "other") and info.seconds < 60


@pytest.mark.usefixtures("leaves_no_child")
@pytest.mark.parametrize("kind", ["gsm", "mp3"])
@pytest.mark.parametrize(
    "script", [None, "exit 1", "exec cat >/dev/null", "kill -9 $$", "exec cat /dev/zero"]
)
def test_without_a_decoder_only_the_waveform_is_missing(
    kind: str, script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = recording(kind, 1, 60)
    whole = scan(data)
    if script:
        path = tmp_path / "ffmpeg"
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    info = scan(data)
    if script != "exec cat >/dev/null":
        assert info.peaks is None
    assert info.data_size == whole.data_size
    if info.peaks is None:
        assert info.seconds == pytest.approx(whole.seconds, abs=0.3)


@pytest.mark.usefixtures("leaves_no_child")
def test_a_scanner_that_is_left_alone_leaves_no_child() -> None:
    with Scanner() as scanner:
        scanner.feed(recording("gsm"))


MEMORY = """
from pathlib import Path
from daemons.archiver.audio import Scanner
from tests.unit.sounds import linear, wav
piece = bytes(range(256)) * 1024
def peak(): return Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
for tag, width in ((7, 1), (1, 2)):
    with Scanner() as scanner:
        scanner.feed(wav(linear(tag, 1, width), b"", promised=0))
        for _ in range(20): scanner.feed(piece)
        before = peak()
        for _ in range(1200): scanner.feed(piece)
        scanner.finish()
    print(before, peak())
"""


def test_memory_does_not_grow_with_the_recording() -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=60, check=True
    )
    for line in run.stdout.splitlines():
        before, after = map(int, line.split())
        assert after - before < 2000, run.stdout
        assert after < 80_000
