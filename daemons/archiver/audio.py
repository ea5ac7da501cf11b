"""Reads a recording as it comes in: is it one, of which codec, how long, and what it looks like.

The bytes are judged and never kept: memory does not grow with the recording, and no bytes, however
wrong, raise anything but BadMedia.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from common.errors import BadMedia
from common.pcm import WIDTHS
from common.transcode import GSM_BLOCK
from daemons.archiver import mp3
from daemons.archiver.samples import Format, Samples

_TAGS = {0x06: "alaw", 0x07: "ulaw", 0x31: "gsm", 0x55: "mp3"}
_PCM = {8: "pcm8", 16: "pcm", 24: "pcm24", 32: "pcm32"}
_EXTENSIBLE = 0xFFFE
_GUID = bytes.fromhex("000000001000800000aa00389b71")  # after the tag that it extends
_CHUNKS = (b"fmt ", b"data", b"fact", b"LIST")
_FMT_MOST = 1 << 12  # bytes
_OFFSET_MOST = 1 << 30  # bytes before the samples


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is. `unfinished`: the sizes in its header are not those that came."""

    codec: str
    channels: int
    sample_rate: int
    seconds: float
    data_offset: int
    data_size: int
    peaks: bytes | None
    unfinished: bool


class Scanner:
    """Judges one recording. Feed all of it, then finish; close it in any case."""

    def __init__(self) -> None:
        self._state: Callable[[], bool] = self._begin
        self._head = bytearray()  # read and not understood yet
        self._offset = 0  # bytes before _head
        self._skip = 0
        self._odd = False
        self._riff = 0
        self._ended = False
        self._format: Format | None = None
        self._samples: Samples | None = None
        self._total = 0
        self._promised: int | None = None  # bytes of samples by the header; None: it says nothing
        self._after = bytearray()  # the first bytes behind these
        self._following: bool | None = None  # are those samples, too? None: not known yet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises BadMedia as soon as they can't be a recording."""
        self._total += len(chunk)
        if self._samples:
            self._take(chunk)
            return
        view = memoryview(chunk)
        while len(view) and not self._samples:
            skipped = min(self._skip, len(view))
            self._skip -= skipped
            self._offset += skipped
            self._head += view[skipped : skipped + _FMT_MOST]
            view = view[skipped + _FMT_MOST :]
            self._advance()
        if self._samples:
            self._take(view)

    def finish(self) -> AudioInfo:
        """Say what it was. Raises BadMedia where it ended before its samples could begin."""
        self._ended = True
        self._advance()
        if not self._samples:
            raise BadMedia("what the PBX sent ends before its audio begins")
        form, size = self._samples.format, self._samples.size
        seconds, peaks = self._samples.finish()
        unfinished = False
        if self._promised is not None:
            off = abs(8 + self._riff - self._total)  # a pad byte may lack, or not be counted
            disagrees = self._following is not False and off > size % 2
            unfinished = size != self._promised or disagrees
        return AudioInfo(
            form.codec, form.channels, form.sample_rate, seconds, self._offset, size, peaks,
            unfinished,
        )  # fmt: skip

    def close(self) -> None:
        """End the decoder, if one runs."""
        if self._samples:
            self._samples.close()

    def _advance(self) -> None:
        """Understand what is at hand, as far as it goes."""
        while not self._skip and not self._samples and self._state():
            if self._offset > _OFFSET_MOST:
                raise BadMedia("the recording's header has no end: see what the PBX sends")
        if self._samples:
            head, self._head = self._head, bytearray()
            self._take(head)

    def _take(self, chunk: bytes | bytearray | memoryview) -> None:
        assert self._samples
        view = memoryview(chunk)
        left = len(view)
        if self._promised is not None and not self._following:
            left = self._promised - self._samples.size
        if view[:left]:
            self._samples.feed(view[:left])
        if view[left:] and self._following is None:
            self._follow(view[left:], self._samples)

    def _follow(self, view: memoryview, samples: Samples) -> None:
        """Tell a chunk behind the promised samples from more samples than the header counts."""
        missing = 9 - len(self._after)
        self._after += view[:missing]
        if len(view) < missing:
            return
        for pad in range(1 + samples.size % 2):
            name, size = struct.unpack_from("<4sI", self._after, pad)
            end = self._offset + samples.size + pad + 8 + size
            is_name = all(0x20 <= octet < 0x7F for octet in name)
            if name in _CHUNKS or (is_name and end <= 8 + self._riff + 1):
                self._following = False
                return
        self._following = True
        samples.feed(memoryview(bytes(self._after)))
        self._take(view[missing:])

    # Each of these understands one thing at the front of _head; False: it needs more bytes.

    def _pop(self, size: int) -> bytes:
        piece = bytes(self._head[:size])
        del self._head[:size]
        self._offset += size
        return piece

    def _pass(self, size: int) -> None:
        at_hand = min(size, len(self._head))
        self._pop(at_hand)
        self._skip = size - at_hand

    def _begin(self) -> bool:
        head = self._head
        if len(head) < 12:
            return False
        if head[:4] != b"RIFF":
            self._state = self._frames
            if head.startswith(b"ID3"):
                self._pass(mp3.tag_length(head))
            return True
        if head[8:12] != b"WAVE":
            raise BadMedia("what the PBX sent is RIFF but not WAV")
        self._riff = int.from_bytes(head[4:8], "little")
        self._pop(12)
        self._state = self._chunk
        return True

    def _frames(self) -> bool:
        """Find the first frame; the end of the recording may come before enough is at hand."""
        if len(self._head) < mp3.HEAD and not self._ended:
            return False
        if (found := mp3.find_first(bytes(self._head))) is None:
            raise BadMedia("what the PBX sent is neither WAV nor MP3")
        place, frame = found
        self._pop(place)
        self._samples = Samples(Format("mp3", frame.channels, frame.sample_rate, 0))
        return True

    def _chunk(self) -> bool:
        head = self._head
        if len(head) < 9:
            return len(head) == 8 and head[:4] == b"data" and self._data()
        if self._odd:
            self._odd = False
            if head[0] == 0 or (bytes(head[1:5]) in _CHUNKS and bytes(head[:4]) not in _CHUNKS):
                self._pop(1)
                return True
        name, size = struct.unpack_from("<4sI", head)
        if name == b"data":
            return self._data()
        if name == b"fmt ":
            return self._fmt(size)
        self._pop(8)
        self._pass(size)
        self._odd = size % 2 == 1
        return True

    def _fmt(self, size: int) -> bool:
        if not 14 <= size <= _FMT_MOST - 8:
            raise BadMedia("the WAV header has a format of an impossible length")
        if len(self._head) < 8 + size:
            return False
        self._pop(8)
        self._format = _parse(self._pop(size))
        self._odd = size % 2 == 1
        return True

    def _data(self) -> bool:
        if self._format is None:
            raise BadMedia("the WAV has samples but does not say of which format")
        self._promised = int.from_bytes(self._pop(8)[4:], "little")
        self._samples = Samples(self._format)
        return True


def _parse(fmt: bytes) -> Format:
    tag, channels, rate, byte_rate, align = struct.unpack_from("<HHIIH", fmt)
    bits = int.from_bytes(fmt[14:16], "little")
    if tag == _EXTENSIBLE and fmt[26:40] == _GUID:
        tag = int.from_bytes(fmt[24:26], "little")
    codec = _TAGS.get(tag)
    if tag == 1:
        codec = _PCM.get(bits)
    elif tag == 3 and bits == 32:
        codec = "float32"
    known = codec in WIDTHS and 1 <= channels <= 8
    known |= codec == "gsm" and channels == 1 and align == GSM_BLOCK
    known |= codec == "mp3" and 1 <= channels <= 2
    if codec is None or not known or not 1000 <= rate <= 384_000:
        return Format("other", min(channels, 0x7FFF), min(rate, 0x7FFFFFFF), byte_rate)
    return Format(codec, channels, rate, byte_rate)
