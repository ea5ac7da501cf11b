"""Decode GSM 06.10 and MP3 in a child process (ffmpeg) that no input can make hang or grow.

The child sees its two pipes and nothing else, its processor time and memory are limited, and who
stops reading or closes the decoder ends it. The output is 16-bit PCM, little endian, interleaved.
"""

import os
import resource
import select
import struct
import subprocess
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from common.errors import CallStashError

PIECE = 65536
STALL = 10.0  # seconds without any progress
MEMORY = 512 << 20  # bytes of address space
PROCESSOR = 300  # seconds
EXPANSION = 200  # bytes out for one byte in; the densest MP3 has 96

_DEMUXERS = {"gsm": ["-f", "wav", "-ignore_length", "1"], "mp3": ["-f", "mp3"]}
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class DecoderFailed(CallStashError):
    """ffmpeg is missing, died, stalled, or gave more than there can be."""


class Decoder:
    """One running decoder: feed it all of the audio, then finish it; close it in any case."""

    def __init__(self, codec: str, channels: int, sample_rate: int) -> None:
        command = [
            *("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "quiet", "-threads", "1"),
            *("-protocol_whitelist", "pipe", *_DEMUXERS[codec], "-i", "pipe:0", "-map", "0:a:0"),
            *("-max_error_rate", "1", "-ac", str(channels), "-ar", str(sample_rate)),
            *("-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"),
        ]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        try:
            self._child = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            raise DecoderFailed(
                f"ffmpeg can't be started ({error.strerror}): install the package ffmpeg"
            ) from error
        assert self._child.stdin and self._child.stdout
        self._stdin, self._stdout = self._child.stdin, self._child.stdout
        self._room = PIECE * EXPANSION
        self._header = _gsm_header(sample_rate) if codec == "gsm" else b""
        try:
            # Not preexec_fn, which is unsafe beside threads: no input has reached the child yet.
            resource.prlimit(self._child.pid, resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
            resource.prlimit(self._child.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        except OSError as error:
            self.close()
            raise DecoderFailed(f"ffmpeg can't be limited: {error.strerror}") from error
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Write all of `data` and yield the samples that come meanwhile: exhaust it.

        Raises DecoderFailed.
        """
        yield from self._exchange(self._header)
        self._header = b""
        yield from self._exchange(data)

    def finish(self) -> Iterator[bytes]:
        """Yield the samples that are left, then see that the child ended well.

        Raises DecoderFailed.
        """
        self._stdin.close()
        while piece := self._read():
            yield piece
        try:
            status = self._child.wait(STALL)
        except subprocess.TimeoutExpired:
            status = -1
        self.close()
        if status:
            raise DecoderFailed(f"ffmpeg ended with status {status}")

    def close(self) -> None:
        """End the child if it still runs, and reap it."""
        self._child.kill()
        self._stdin.close()
        self._stdout.close()
        self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, data: bytes | memoryview) -> Iterator[bytes]:
        rest = memoryview(data)
        self._room += EXPANSION * len(rest)
        while rest:
            ready = self._poll(self._stdin.fileno(), self._stdout.fileno())
            if self._stdout.fileno() in ready:
                piece = self._read()
                if not piece:
                    raise DecoderFailed("ffmpeg ended before its input did")
                yield piece
            if self._stdin.fileno() in ready:
                try:
                    rest = rest[os.write(self._stdin.fileno(), rest[:PIECE]) :]
                except BrokenPipeError as error:
                    raise DecoderFailed("ffmpeg does not read on") from error

    def _read(self) -> bytes:
        self._poll(None, self._stdout.fileno())
        piece = os.read(self._stdout.fileno(), PIECE)
        self._room -= len(piece)
        if self._room < 0:
            raise DecoderFailed("ffmpeg gives more than the audio can hold")
        return piece

    def _poll(self, writing: int | None, reading: int) -> list[int]:
        poll = select.poll()
        poll.register(reading, _READABLE)
        if writing is not None:
            poll.register(writing, select.POLLOUT)
        ready = [descriptor for descriptor, _ in poll.poll(STALL * 1000)]
        if not ready:
            raise DecoderFailed(f"ffmpeg did nothing for {STALL:.0f} s")
        return ready


def _gsm_header(sample_rate: int) -> bytes:
    """Return the WAV header before an endless run of GSM blocks, which have no format of their
    own in ffmpeg."""
    samples = (0x31, 1, sample_rate, sample_rate * 65 // 320, 65, 0, 2, 320)
    fmt = struct.pack("<4sIHHIIHHHH", b"fmt ", 20, *samples)
    return b"RIFF\xff\xff\xff\xffWAVE" + fmt + b"data\xff\xff\xff\xff"
