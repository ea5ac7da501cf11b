"""The frames of an MP3 stream: where they begin and how long they last.

Only the headers are read (ISO 11172-3 and 13818-3, Layer III, and MPEG 2.5).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

SEARCH = 4096  # bytes in which the first frame must begin
HEAD = 2 * SEARCH  # bytes in which the next one then does: no frame has more than 1441

# Sync, Layer III; a bit rate that is given; a sample rate that exists.
_HEADER = re.compile(
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][%s]"
    % re.escape(bytes(b for b in range(0x10, 0xF0) if b & 0x0C != 0x0C)),
    re.DOTALL,
)
_RATES = (44100, 48000, 32000)  # of MPEG 1; half of it in MPEG 2, a quarter in MPEG 2.5
_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@dataclass(frozen=True)
class Frame:
    """What a frame header says; `length` in bytes, with the header."""

    length: int
    samples: int
    sample_rate: int
    channels: int


@lru_cache(512)
def parse_header(header: bytes) -> Frame | None:
    """Read the four bytes of a frame header; None if they are not one."""
    if len(header) < 4 or not _HEADER.match(header):
        return None
    version = header[1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[(header[2] >> 4) - 1]
    rate = _RATES[header[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 1152 if version == 3 else 576
    length = samples // 8 * kbits * 1000 // rate + (header[2] >> 1 & 1)
    return Frame(length, samples, rate, 1 if header[3] >> 6 == 3 else 2)


def find_first(head: bytes) -> tuple[int, Frame] | None:
    """Return the first of two frames in a row of one kind, and where it begins.

    `head` is the first HEAD bytes of a stream, or all of it.
    """
    match = _HEADER.search(head, 0, SEARCH)
    while match:
        at = match.start()
        if first := parse_header(head[at : at + 4]):
            second = parse_header(head[at + first.length : at + first.length + 4])
            if second and (second.samples, second.sample_rate) == (
                first.samples,
                first.sample_rate,
            ):
                return at, first
        match = _HEADER.search(head, at + 1, SEARCH)
    return None


def tag_length(head: bytes | bytearray) -> int:
    """Return the bytes of an ID3v2 tag (id3.org, 2.4.0, section 3.1) that begins with these ten."""
    length = 0
    for octet in head[6:10]:
        length = length << 7 | octet & 0x7F
    return length + (20 if head[5] & 0x10 else 10)


class Frames:
    """Counts the frames of a stream from its first header on; memory does not grow with it."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._at = 0  # where the next header is, from the start of what is pending
        self.samples = 0

    def add(self, data: bytes | memoryview) -> None:
        """Take the next bytes, cut anywhere; what is no frame is passed over."""
        self._pending += data
        pending, at = bytes(self._pending), self._at
        while at + 4 <= len(pending):
            frame = parse_header(pending[at : at + 4])
            if frame:
                at += frame.length
                self.samples += frame.samples
            else:
                match = _HEADER.search(pending, at + 1)
                at = match.start() if match else len(pending) - 2
        del self._pending[:at]
        self._at = at - len(pending) + len(self._pending)

    @property
    def is_cut(self) -> bool:
        """Does the stream end within a frame?"""
        return self._at > len(self._pending)
