"""Real two-party speech in every codec that PBXs send, made once with espeak-ng and kept as raw
samples.

A call is a head of its own, which carries its file name, and a slice of one of these files: so
thousands of calls cost nothing, and no two have the same bytes.
"""

import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulators.pbx.speech import CONVERSATIONS

RATE = 8000
VOICES = (("en-gb", "45"), ("en-us+f3", "60"))  # and their pitch
RAW = ("-t", "raw", "-r", str(RATE), "-e", "signed", "-b", "16", "-c", "1")
PIECE = 1 << 20
SPARE = 600  # seconds that a call may grow by


@dataclass(frozen=True)
class Codec:
    """How a codec stands in a file: bytes of a block, samples in it, longest call in seconds."""

    name: str
    block: int
    samples: int
    longest: int
    format: bytes = b""

    def data_bytes(self, seconds: float) -> int:
        """Return the bytes of so much sound, in whole blocks."""
        return int(seconds * RATE / self.samples) * self.block

    def head(self, name: str, size: int, *, growing: bool = False) -> bytes:
        """Return what stands before the data of the call with this file name."""
        if self.name == "mp3":
            text = b"\x00" + name.encode("latin-1", "replace")
            frame = b"TIT2" + struct.pack(">IH", len(text), 0) + text
            length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
            return b"ID3\x03\x00\x00" + length + frame
        if size == 0:  # never answered: what Asterisk leaves, 44 bytes
            return b"RIFF\x24\0\0\0WAVE" + CODECS["pcm"].format + b"data" + bytes(4)
        title = name.encode("latin-1", "replace") + b"\x00"
        title += b"\x00" * (len(title) % 2)
        info = b"INFOINAM" + struct.pack("<I", len(title)) + title
        chunks = self.format + b"LIST" + struct.pack("<I", len(info)) + info
        sizes = (0, 0) if growing else (4 + len(chunks) + 8 + size, size)
        return b"RIFF%sWAVE%sdata%s" % (
            struct.pack("<I", sizes[0]),
            chunks,
            struct.pack("<I", sizes[1]),
        )


def _format(tag: int, channels: int, rate: int, block: int, bits: int, extra: bytes = b"") -> bytes:
    fields = struct.pack("<HHIIHH", tag, channels, RATE, rate, block, bits) + extra
    return b"fmt " + struct.pack("<I", len(fields)) + fields


CODECS = {
    codec.name: codec
    for codec in (
        Codec("ulaw", 1, 1, 2 * 3600, _format(7, 1, 8000, 1, 8, b"\0\0")),
        Codec("alaw", 1, 1, 1200, _format(6, 1, 8000, 1, 8, b"\0\0")),
        Codec("pcm", 2, 1, 1200, _format(1, 1, 16000, 2, 16)),
        Codec("stereo", 4, 1, 1200, _format(1, 2, 32000, 4, 16)),
        Codec("gsm", 65, 320, 3600, _format(0x31, 1, 1625, 65, 0, b"\2\0\x40\1")),
        Codec("mp3", 576, 576, 1800),
    )
}


class Media:
    """The files with the samples, under a directory that several simulators may share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "media-2"
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait for what the first one makes
            if not self._directory.is_dir():
                work = directory / "work"
                shutil.rmtree(work, ignore_errors=True)  # of one that was killed
                work.mkdir()
                _make(work).rename(self._directory)
                shutil.rmtree(work)
        self.descriptors = {
            name: os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC) for name in CODECS
        }
        self._starts = [int(word) for word in (self._directory / "starts").read_text().split()]

    def offset(self, codec: str, choice: random.Random) -> int:
        """Return where in the codec's file some conversation begins."""
        kind = CODECS[codec]
        return choice.choice(self._starts) // kind.samples * kind.block

    def pieces(self, codec: str, offset: int, length: int) -> Iterator[bytes]:
        """Yield bytes of a codec's file."""
        end = offset + length
        while piece := os.pread(self.descriptors[codec], min(PIECE, end - offset), offset):
            yield piece
            offset += len(piece)


def _run(*command: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def _sox(*arguments: str | Path, data: bytes = b"") -> bytes:
    return _run("sox", "-V0", "-R", *arguments, data=data)


def _speak(line: str, voice: str, pitch: str) -> bytes:
    wav = _run("espeak-ng", "-v", voice, "-p", pitch, "-s", "150", "--stdout", line)
    return _sox("-t", "wav", "-", *RAW, "-", data=wav)


def _converse(work: Path) -> list[int]:
    """Write what both say, to `left` and `right`; return the samples where they say hello."""
    starts, samples = [], 0
    with (work / "left").open("wb") as caller, (work / "right").open("wb") as callee:
        for lines in CONVERSATIONS:
            starts.append(samples)
            for number, line in enumerate(lines):
                sound = _speak(line, *VOICES[number % 2]) + bytes(2 * RATE * (2 + number % 3) // 4)
                speaker, listener = (caller, callee) if number % 2 else (callee, caller)
                speaker.write(sound)
                listener.write(bytes(len(sound)))
                samples += len(sound) // 2
    return starts


def _make(work: Path) -> Path:
    """Make every codec's file and return the directory that they are in."""
    starts = _converse(work)
    one, both = work / "one.wav", work / "both.wav"
    _sox("-M", *RAW, work / "left", *RAW, work / "right", both)
    _sox(both, one, "remix", "-m", "1,2")
    _sox(one, "-e", "mu-law", "-b", "8", "-t", "raw", work / "ulaw")
    _sox(one, "-e", "a-law", "-b", "8", "-t", "raw", work / "alaw")
    _sox(one, "-e", "signed", "-b", "16", "-t", "raw", work / "pcm")
    _sox(both, "-e", "signed", "-b", "16", "-t", "raw", work / "stereo")
    _sox(one, "-e", "gsm-full-rate", work / "gsm.wav")
    gsm = (work / "gsm.wav").read_bytes()
    (work / "gsm").write_bytes(gsm[gsm.index(b"data") + 8 :])
    mp3 = ("-c:a", "libmp3lame", "-b:a", "64k", "-reservoir", "0", "-write_xing", "0")
    tags = ("-id3v2_version", "0", "-f", "mp3")
    _run("ffmpeg", "-v", "error", "-i", one, *mp3, *tags, work / "mp3")
    out = work / "out"
    out.mkdir()
    for name, codec in CODECS.items():
        once = (work / name).read_bytes()
        once = once[: len(once) // codec.block * codec.block]
        with (out / name).open("wb") as file:
            for _ in range(codec.data_bytes(codec.longest + SPARE) // len(once) + 2):
                file.write(once)
    (out / "starts").write_text(" ".join(map(str, starts)))
    return out
