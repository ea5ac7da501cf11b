"""ffmpeg as a bounded child that turns GSM or MP3 into 16-bit PCM through pipes, without threads.

A child that is missing, dies, stalls or grows makes `failed` true; it never makes the caller fail,
and it is always reaped.
"""

import os
import select
import struct
import subprocess
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

GSM_BLOCK = 65  # bytes
GSM_SAMPLES = 320  # in one block

_PIECE = 1 << 16
_STALL = 10.0  # seconds without any progress
_MEMORY = 1 << 29  # bytes of address space, most of it libraries
_RATIO = 64  # output to input: an MP3 of 32 kbit/s at 48 kHz stereo gives 48
_SLACK = 1 << 20
_COMMAND = (
    *("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-threads", "1"),
    *("-protocol_whitelist", "pipe"),
)
_GSM_HEADER = (
    b"RIFF\xff\xff\xff\xffWAVEfmt \x14\x00\x00\x00"
    + struct.pack("<HHIIHHHH", 0x31, 1, 8000, 1625, GSM_BLOCK, 0, 2, GSM_SAMPLES)
    + b"data\xff\xff\xff\xff"
)


class Decoder:
    """One ffmpeg from encoded bytes to interleaved 16-bit little-endian samples."""

    def __init__(self, source: list[str], target: list[str], first: bytes, cpu: int) -> None:
        """Start the child with options for its input and output; `cpu` in seconds."""
        self.failed = False
        self._first = first
        self._room = _SLACK
        self._child: subprocess.Popen[bytes] | None = None
        limits = ["prlimit", f"--cpu={cpu}", f"--as={_MEMORY}", "--core=0", "--"]
        inout = [*source, "-i", "pipe:0", "-map", "0:a:0", *target, "-f", "s16le", "pipe:1"]
        try:
            self._child = subprocess.Popen(
                [*limits, *_COMMAND, *inout],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self.failed = True
            return
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[bytes]:
        """Give the child encoded bytes; return what it has decoded meanwhile."""
        self._room += _RATIO * len(data)
        if self._first:
            data, self._first = self._first + data, b""
        return self._pump(memoryview(data), to_end=False)

    def finish(self) -> Iterator[bytes]:
        """Return the rest; afterwards `failed` is final."""
        if self._child and self._child.stdin and not self.failed:
            self._child.stdin.close()
        yield from self._pump(memoryview(b""), to_end=True)
        if self._child and not self.failed:
            try:
                self.failed = self._child.wait(_STALL) != 0
            except subprocess.TimeoutExpired:
                self.failed = True
        self.close()

    def close(self) -> None:
        """End and reap the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            assert stream is not None
            stream.close()
        child.wait()

    def _pump(self, data: memoryview, *, to_end: bool) -> Iterator[bytes]:
        progress = time.monotonic()
        while (data or to_end) and not self.failed:
            written, piece = 0, None
            try:
                written, piece = self._turn(data)
            except BlockingIOError:
                pass
            except OSError:
                self.failed = True
            now = time.monotonic()
            if piece or written:
                progress = now
            if piece:
                self._room -= len(piece)
                yield piece
            data = data[written:]
            if piece == b"" and to_end:
                return
            if piece == b"" or self._room < 0 or now - progress > _STALL:
                self.failed = True
        if self.failed:
            self.close()

    def _turn(self, data: memoryview) -> tuple[int, bytes | None]:
        """Wait for a pipe; return how much was written and what was read (empty: the end)."""
        assert self._child and self._child.stdin and self._child.stdout
        poll = select.poll()
        source = self._child.stdout.fileno()
        poll.register(source, select.POLLIN)
        if data:
            poll.register(self._child.stdin.fileno(), select.POLLOUT)
        ready = dict(poll.poll(_STALL * 1000))
        if source in ready:
            return 0, os.read(source, _PIECE)
        if ready:
            return os.write(self._child.stdin.fileno(), data[:_PIECE]), None
        return 0, None


def gsm(cpu: int) -> Decoder:
    """Return a decoder of whole GSM blocks as WAV holds them."""
    return Decoder(["-f", "wav", "-c:a", "gsm_ms"], [], _GSM_HEADER, cpu)


def mp3(channels: int, sample_rate: int, cpu: int) -> Decoder:
    """Return a decoder of MP3 frames; whatever they say, the samples come as given here."""
    return Decoder(["-f", "mp3"], ["-ac", str(channels), "-ar", str(sample_rate)], b"", cpu)
