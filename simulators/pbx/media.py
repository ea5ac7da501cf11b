"""Real two-party speech in every codec that PBXs send, made once with espeak-ng and kept as raw
samples.

A call is a head of its own, which carries its file name, and a slice of one of these files: so
thousands of calls cost nothing, and no two have the same bytes.
"""

import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

RATE = 8000
VOICES = (("en-gb", "45"), ("en-us+f3", "60"))
LINES = (
    "Good morning, accounts department, how can I help you?",
    "Hello, I am calling about invoice four seven one one. I think that we paid it twice.",
    "Let me have a look. May I have your customer number, please?",
    "Yes, of course. It is two zero, one nine, six three.",
    "Thank you. I can see two payments, one on the third and one on the ninth of the month.",
    "That is right. The second one was a mistake of our bank.",
    "I will send the money back today. It will take two or three working days.",
    "Very good. Could you confirm that by mail, please?",
    "Certainly. Is the address that we have still the right one?",
    "It is. While I have you, we would like to order another forty units.",
    "The usual ones, with the long cable?",
    "With the short cable this time, please, and delivery before the end of the month.",
    "I have that down: forty units, short cable, before the thirty first.",
    "Wonderful. Does this call get recorded?",
    "Yes, all of our calls are recorded and kept for seven years.",
    "Then I know where to find it. Thank you very much, and goodbye.",
    "You are welcome. Have a nice day. Goodbye.",
)


@dataclass(frozen=True)
class Codec:
    """How a codec stands in a file: bytes of one block, samples in it, and the longest call in"
    " s."""

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
            return (
                b"RIFF"
                + struct.pack("<I", 36)
                + b"WAVE"
                + CODECS["pcm"].format
                + b"data"
                + bytes(4)
            )
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
        self.directory = directory / "media-1"
        if not self.directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory) as work:
                made = _make(Path(work))
                try:
                    made.rename(self.directory)
                except OSError:  # another simulator was quicker
                    shutil.rmtree(made)
        self.descriptors = {
            name: os.open(self.directory / name, os.O_RDONLY | os.O_CLOEXEC) for name in CODECS
        }


def _run(*command: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def _speak(line: str, voice: str, pitch: str) -> bytes:
    wav = _run("espeak-ng", "-v", voice, "-p", pitch, "-s", "150", "--stdout", line)
    raw = ("-t", "raw", "-r", str(RATE), "-e", "signed", "-b", "16", "-c", "1", "-")
    return _run("sox", "-V0", "-t", "wav", "-", *raw, data=wav)


def _make(work: Path) -> Path:
    left, right = b"", b""
    for number, line in enumerate(LINES):
        sound = _speak(line, *VOICES[number % 2]) + bytes(2 * RATE * (2 + number % 3) // 4)
        silence = bytes(len(sound))
        left += silence if number % 2 == 0 else sound
        right += sound if number % 2 == 0 else silence
    (work / "left").write_bytes(left)
    (work / "right").write_bytes(right)
    raw = ("-t", "raw", "-r", str(RATE), "-e", "signed", "-b", "16", "-c", "1")
    _run(
        "sox",
        "-V0",
        "-M",
        *raw,
        work / "left",
        *raw,
        work / "right",
        "-t",
        "wav",
        work / "both.wav",
    )
    _run(
        "sox",
        "-V0",
        work / "both.wav",
        "-c",
        "1",
        "-t",
        "wav",
        work / "one.wav",
        "remix",
        "-m",
        "1,2",
    )
    out = work / "out"
    out.mkdir()
    for name, options in {
        "ulaw": ("-e", "mu-law", "-b", "8", "-t", "raw"),
        "alaw": ("-e", "a-law", "-b", "8", "-t", "raw"),
        "pcm": ("-e", "signed", "-b", "16", "-t", "raw"),
    }.items():
        _run("sox", "-V0", work / "one.wav", *options, work / name)
    _run("sox", "-V0", work / "both.wav", "-e", "signed", "-b", "16", "-t", "raw", work / "stereo")
    _run("sox", "-V0", work / "one.wav", "-e", "gsm-full-rate", "-t", "wav", work / "gsm.wav")
    gsm = (work / "gsm.wav").read_bytes()
    start = gsm.index(b"data") + 8
    (work / "gsm").write_bytes(gsm[start : start + (len(gsm) - start) // 65 * 65])
    mp3 = ("-c:a", "libmp3lame", "-b:a", "64k", "-reservoir", "0", "-write_xing", "0")
    tags = ("-id3v2_version", "0", "-f", "mp3")
    _run("ffmpeg", "-v", "error", "-i", work / "one.wav", *mp3, *tags, work / "mp3")
    for name, codec in CODECS.items():
        once = (work / name).read_bytes()
        once = once[: len(once) // codec.block * codec.block]
        need = codec.data_bytes(codec.longest) + len(
            once
        )  # calls begin anywhere in the first round
        with (out / name).open("wb") as file:
            for _ in range(need // len(once) + 1):
                file.write(once)
    (out / "rounds").write_text(
        " ".join(f"{name}={(work / name).stat().st_size}" for name in CODECS)
    )
    return out
