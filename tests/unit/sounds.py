"""Recordings of every kind that a PBX sends, made by sox and ffmpeg, and what ffmpeg hears."""

import struct
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

SECONDS = 3
CODECS = {
    "pcm": ["-c:a", "pcm_s16le"],
    "ulaw": ["-c:a", "pcm_mulaw"],
    "alaw": ["-c:a", "pcm_alaw"],
    "pcm8": ["-c:a", "pcm_u8"],
    "pcm24": ["-c:a", "pcm_s24le"],
    "pcm32": ["-c:a", "pcm_s32le"],
    "float32": ["-c:a", "pcm_f32le"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "32k"],
}


def ffmpeg(*arguments: str, data: bytes = b"") -> bytes:
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-threads", "1", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout


def speech(frames: int, channels: int) -> NDArray[np.int16]:
    """Return something with loud and quiet places, different on each channel."""
    time = np.arange(frames)[:, None] / 8000
    loud = np.abs(np.sin(time * (0.9 + np.arange(channels))))
    noise = np.random.default_rng(7).normal(0, 0.1, (frames, channels))
    sound = (np.sin(time * 2200) + noise) * loud * 20000
    samples: NDArray[np.int16] = sound.clip(-32768, 32767).astype("<i2")
    return samples


def wav(fmt: bytes, data: bytes, *, promised: int | None = None, riff: int | None = None) -> bytes:
    size = len(data) if promised is None else promised
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size)
    return (
        b"RIFF" + struct.pack("<I", len(body) + len(data) if riff is None else riff) + body + data
    )


def linear(tag: int, channels: int, width: int) -> bytes:
    """Return the format of 8000 samples a second of `width` bytes."""
    align = channels * width
    return struct.pack("<HHIIHH", tag, channels, 8000, 8000 * align, align, 8 * width)


@lru_cache
def recording(codec: str, channels: int = 1, seconds: float = SECONDS) -> bytes:
    """Return a file as a real encoder writes it."""
    samples = speech(int(8000 * seconds), channels)
    plain = wav(linear(1, channels, 2), samples.tobytes())
    with TemporaryDirectory() as directory:  # into a pipe an encoder can't write sizes
        path = Path(directory) / ("sound.mp3" if codec == "mp3" else "sound.wav")
        if codec == "gsm":
            command = ["sox", "-t", "wav", "-", "-e", "gsm-full-rate", str(path)]
            subprocess.run(command, input=plain, check=True, timeout=60)
        else:
            ffmpeg("-i", "pipe:0", *CODECS[codec], str(path), data=plain)
        return path.read_bytes()


@lru_cache
def heard(data: bytes) -> NDArray[np.int16]:
    """Return the samples that ffmpeg hears, a row for each channel."""
    wave = ffmpeg("-i", "pipe:0", "-c:a", "pcm_s16le", "-f", "wav", "pipe:1", data=data)
    channels = int.from_bytes(wave[22:24], "little")
    start = wave.index(b"data") + 8
    return np.frombuffer(wave[start:], "<i2").reshape(-1, channels).T
