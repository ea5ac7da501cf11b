"""The scanner on real files of every codec: what it says, however the bytes are cut."""

import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import BadMedia
from daemons.archiver.audio import AudioInfo, Scanner

SECONDS = 9.0
CODECS = {
    "ulaw": ["-c:a", "pcm_mulaw"],
    "alaw": ["-c:a", "pcm_alaw"],
    "pcm": ["-c:a", "pcm_s16le"],
    "pcm8": ["-c:a", "pcm_u8"],
    "pcm24": ["-c:a", "pcm_s24le"],
    "pcm32": ["-c:a", "pcm_s32le"],
    "float32": ["-c:a", "pcm_f32le"],
}
LINEAR = [
    (codec, rate, channels) for codec in CODECS for rate in (8000, 16000) for channels in (1, 2)
]


def run(*command: object, stdin: bytes = b"") -> bytes:
    return subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, check=True
    ).stdout


def ffmpeg(*options: object) -> bytes:
    return run("ffmpeg", "-nostdin", "-v", "error", "-y", *options)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people who talk, one a channel, 16 kHz."""
    place = tmp_path_factory.mktemp("audio")
    text = "Good morning, this is the billing office. I am calling about the invoice of last week."
    for name, voice in (("one", "en+f3"), ("two", "en+m2")):
        run("espeak-ng", "-v", voice, "-w", place / f"{name}.wav", text)
    run(
        *("sox", "-M", place / "one.wav", place / "two.wav", "-r", 16000, place / "both.wav"),
        *("pad", 0.5, 9, "trim", 0, SECONDS, "gain", "-n", -1),
    )
    return place


def encode(speech: Path, name: str, *options: object) -> bytes:
    path = speech / name
    if not path.exists():
        ffmpeg("-i", speech / "both.wav", *options, path)
    return path.read_bytes()


def wav(speech: Path, codec: str, rate: int, channels: int) -> bytes:
    name = f"{codec}-{rate}-{channels}.wav"
    return encode(speech, name, "-ar", rate, "-ac", channels, *CODECS[codec])


def gsm(speech: Path) -> bytes:
    path = speech / "gsm.wav"
    if not path.exists():
        run("sox", speech / "both.wav", "-c", 1, "-r", 8000, "-e", "gsm-full-rate", path)
    return path.read_bytes()


def mp3(speech: Path, name: str = "bare.mp3", *options: object) -> bytes:
    return encode(
        speech, name, "-ar", 8000, "-ac", 1, "-b:a", "32k", "-c:a", "libmp3lame", *options
    )


def scan(data: bytes, *cuts: int) -> AudioInfo:
    with Scanner() as scanner:
        edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
        for start, stop in zip(edges, edges[1:], strict=False):
            scanner.feed(data[start:stop])
        return scanner.finish()


def drawn(info: AudioInfo) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    assert info.peaks is not None
    assert info.peaks[:2] == bytes([1, min(info.channels, 2)])
    return np.frombuffer(info.peaks[2:], np.uint8).reshape(-1, info.peaks[1])


def reference(speech: Path, name: str, channels: int, windows: int) -> list[list[int]]:
    """Peaks the slow way, from what ffmpeg decodes."""
    pcm = ffmpeg("-i", speech / name, "-f", "s16le", "-c:a", "pcm_s16le", "-")
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(int)).reshape(-1, channels)
    window = 1
    while -(-len(samples) // window) > windows:
        window *= 2
    return [list(samples[at : at + window].max(axis=0)) for at in range(0, len(samples), window)]


@pytest.mark.parametrize(("codec", "rate", "channels"), LINEAR)
def test_when_a_wav_is_whole_then_all_of_it_is_known(
    speech: Path, codec: str, rate: int, channels: int
) -> None:
    data = wav(speech, codec, rate, channels)
    info = scan(data)
    assert (info.codec, info.sample_rate, info.channels) == (codec, rate, channels)
    assert info.seconds == pytest.approx(SECONDS, abs=0.001)
    assert data[info.data_offset - 8 : info.data_offset - 4] == b"data"
    assert info.data_size == int.from_bytes(data[info.data_offset - 4 : info.data_offset], "little")
    assert not info.unfinished


@pytest.mark.parametrize(("codec", "rate", "channels"), LINEAR)
def test_when_peaks_are_drawn_then_they_are_those_of_ffmpegs_samples(
    speech: Path, codec: str, rate: int, channels: int
) -> None:
    peaks = drawn(scan(wav(speech, codec, rate, channels)))
    assert 400 <= len(peaks) <= 800
    expected = reference(speech, f"{codec}-{rate}-{channels}.wav", channels, 800)
    assert len(peaks) == len(expected)
    assert np.abs(peaks - np.array(expected) * 255 / 32768).max() <= 1


def test_when_the_parties_are_apart_then_each_channel_has_its_own_peaks(speech: Path) -> None:
    data = encode(speech, "left.wav", "-af", "pan=stereo|c0=c0|c1=0*c0", *CODECS["ulaw"])
    peaks = drawn(scan(data))
    assert peaks[:, 0].max() > 50
    assert peaks[:, 1].max() == 0


def test_when_a_tone_is_at_full_scale_then_the_peak_is_255() -> None:
    pcm = struct.pack("<hh", -32768, 32767) * 8000
    assert drawn(scan(riff(1, 1, 16, pcm))).min() == 255


def riff(tag: int, channels: int, bits: int, data: bytes, *, extra: bytes = b"") -> bytes:
    align = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, 8000, 8000 * align, align, bits) + extra
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


def test_when_gsm_is_scanned_then_blocks_count_and_the_picture_resembles_ffmpegs(
    speech: Path,
) -> None:
    data = gsm(speech)
    info = scan(data)
    assert (info.codec, info.channels, info.sample_rate) == ("gsm", 1, 8000)
    assert info.seconds == info.data_size // 65 * 320 / 8000
    assert info.seconds == pytest.approx(SECONDS, abs=0.1)
    assert not info.unfinished
    peaks, expected = drawn(info)[:, 0], reference(speech, "gsm.wav", 1, 800)
    assert len(peaks) == len(expected)
    assert np.abs(peaks - np.array(expected)[:, 0] * 255 / 32768).max() <= 1


@pytest.mark.parametrize("name", ["bare.mp3", "notag.mp3", "in.wav"])
def test_when_mp3_is_scanned_then_its_length_is_exact(speech: Path, name: str) -> None:
    options = {"notag.mp3": ["-write_xing", 0, "-id3v2_version", 0]}.get(name, [])
    data = mp3(speech, name, *options)
    info = scan(data)
    assert (info.codec, info.channels, info.sample_rate) == ("mp3", 1, 8000)
    assert info.seconds == pytest.approx(SECONDS, abs=0.2)
    assert data[info.data_offset] == 0xFF
    assert 400 <= len(drawn(info)) <= 800
    assert drawn(info).max() > 100


def test_when_ffmpeg_is_missing_then_the_recording_is_kept_without_a_picture(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"gsm": gsm(speech), "mp3": mp3(speech)}
    monkeypatch.setenv("PATH", str(tmp_path))
    for codec, file in data.items():
        info = scan(file)
        assert (info.codec, info.peaks) == (codec, None)
        # Headers count what a decoder leaves out: the frame of tags, and the encoder's padding.
        assert info.seconds == pytest.approx(SECONDS, abs=0.3)


@pytest.mark.parametrize(
    "script",
    ["exit 1", "kill -9 $$", "head -c 100 /dev/zero; exit 3", "exec cat /dev/zero"],
    ids=["fails", "dies", "stops early", "never stops"],
)
def test_when_ffmpeg_goes_wrong_then_the_recording_is_kept_without_a_picture(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    data = gsm(speech)
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    info = scan(data)
    assert info.peaks is None
    assert info.seconds == pytest.approx(SECONDS, abs=0.1)


def test_when_ffmpeg_stalls_then_it_is_given_up(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gsm(speech)
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nexec sleep 1000\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("common.ffmpeg.STALL", 0.2)
    assert scan(data).peaks is None


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("codec", ["gsm", "mp3"])
def test_when_a_scanner_is_closed_in_the_middle_then_no_child_is_left(
    speech: Path, codec: str
) -> None:
    data = gsm(speech) if codec == "gsm" else mp3(speech)
    before = children()
    with Scanner() as scanner:
        scanner.feed(data[: len(data) * 3 // 4])
        assert children() - before
    assert children() == before


FILES = ["ulaw", "alaw", "pcm", "pcm24", "float32"]


@pytest.mark.parametrize("codec", FILES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 300_000), max_size=12))
def test_when_a_file_is_cut_anywhere_then_the_result_is_the_same(
    speech: Path, codec: str, cuts: list[int]
) -> None:
    data = wav(speech, codec, 8000, 2)
    assert scan(data, *cuts) == scan(data)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["gsm", "mp3"]), st.lists(st.integers(0, 40_000), max_size=6))
def test_when_a_compressed_file_is_cut_anywhere_then_the_result_is_the_same(
    speech: Path, codec: str, cuts: list[int]
) -> None:
    data = gsm(speech) if codec == "gsm" else mp3(speech)
    assert scan(data, *cuts) == scan(data)


@pytest.mark.parametrize("codec", ["ulaw", "gsm", "mp3"])
def test_when_bytes_come_one_by_one_then_the_result_is_the_same(speech: Path, codec: str) -> None:
    data = {"ulaw": wav(speech, "ulaw", 8000, 1), "gsm": gsm(speech), "mp3": mp3(speech)}[codec]
    data = data[:20_000]
    assert scan(data, *range(len(data))) == scan(data)


def test_when_the_codec_is_extensible_then_its_subformat_counts() -> None:
    guid = bytes.fromhex("000000001000800000aa00389b71")
    extra = struct.pack("<HHI", 22, 16, 3) + b"\x01\x00" + guid
    info = scan(riff(0xFFFE, 2, 16, bytes(6400), extra=extra))
    assert (info.codec, info.channels, info.seconds) == ("pcm", 2, 0.2)


def test_when_nothing_is_audio_then_it_is_refused() -> None:
    page = b"<!DOCTYPE html><html><body>Login incorrect.</body></html>" * 300
    for data in (b"", b"R", page, b'{"result":"fail","message":"gone"}', bytes(100_000)):
        with pytest.raises(BadMedia):
            scan(data)
