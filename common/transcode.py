"""A stored recording as every browser can play it: 16-bit PCM in WAV, or MP3, with byte ranges.

The size is known before a sample is decoded, and the byte at a position is the same whatever range
is asked for.
"""

import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from common.ffmpeg import Decoder, DecoderFailed
from common.pcm import WIDTHS, to_pcm16

GSM_BLOCK, GSM_SAMPLES = 65, 320  # bytes and samples of a block: two GSM 06.10 frames
SEGMENT = 1500  # blocks that are decoded together: a minute
WARM_UP = 8  # blocks before a segment that only bring the decoder into its state

Read = Callable[[int, int], Iterator[bytes]]


@dataclass(frozen=True)
class AudioFacts:
    """What the archiver found out about an audio file."""

    mime: str
    codec: str
    channels: int
    sample_rate: int
    data_offset: int
    data_size: int
    audio_size: int


class Rendition(Protocol):
    """Bytes that a browser can play."""

    @property
    def mime(self) -> str:
        """Media type."""

    @property
    def size(self) -> int:
        """Length in bytes, exact."""

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Return the bytes from `start` up to, not including, `stop`. Raises DecoderFailed."""


def rendition(audio: AudioFacts, read: Read) -> Rendition:
    """Return the rendition of an audio file; `read(start, stop)` yields its bytes.

    MP3, and a codec that nobody here knows, stay as they are.
    """
    stop = min(audio.data_offset + audio.data_size, audio.audio_size)
    size = max(0, stop - audio.data_offset)

    def data(start: int, stop: int) -> Iterator[bytes]:
        return read(audio.data_offset + start, audio.data_offset + stop)

    if audio.codec == "mp3":
        bare = audio.mime == "audio/mpeg"
        return _Original("audio/mpeg", *((read, audio.audio_size) if bare else (data, size)))
    if audio.codec == "gsm":
        return _Wav(_Gsm(data, size // GSM_BLOCK, audio), audio)
    if audio.codec in WIDTHS:
        return _Wav(_Linear(data, size, audio), audio)
    return _Original("application/octet-stream", read, audio.audio_size)


def wav(audio: AudioFacts, seconds: float, read: Read) -> Rendition:
    """Return an audio file as WAV where its codec is known, `seconds` long where it is MP3.

    Of MP3 each range is decoded from the beginning on: this is for files that are taken along.
    """
    plain = rendition(audio, read)
    if audio.codec != "mp3":
        return plain
    frames = round(seconds * audio.sample_rate)
    return _Wav(_Mp3(plain, frames * audio.channels * 2, audio), audio)


class _Original:
    """The bytes as they are."""

    def __init__(self, mime: str, data: Read, size: int) -> None:
        self.mime = mime
        self.size = size
        self._data = data

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        start, stop = max(start, 0), min(stop, self.size)
        return self._data(start, stop) if start < stop else iter(())


class _Pcm(Protocol):
    """16-bit PCM of a known length."""

    size: int

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """Yield the bytes from `start` up to `stop`, 0 <= start < stop <= size."""


class _Wav:
    """A canonical header and the samples; what else the file held can't confuse a browser."""

    mime = "audio/wav"

    def __init__(self, pcm: _Pcm, audio: AudioFacts) -> None:
        self._pcm = pcm
        self._header = wav_header(audio.channels, audio.sample_rate, pcm.size)
        self.size = len(self._header) + pcm.size

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        start, stop = max(start, 0), min(stop, self.size)
        header = self._header[start : max(stop, start)]
        start, stop = max(start - len(self._header), 0), stop - len(self._header)
        if start >= stop:
            yield header
            return
        with closing(self._pcm.read(start, stop)) as pieces:
            yield header + next(pieces)  # so that no byte comes where the decoder fails
            yield from pieces


class _Linear:
    """Samples that convert one by one, so that nothing before a range need be read."""

    def __init__(self, data: Read, size: int, audio: AudioFacts) -> None:
        self._data = data
        self._codec = audio.codec
        self._width = WIDTHS[audio.codec]
        self.size = size // (self._width * audio.channels) * audio.channels * 2

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        first, last = start // 2, -(-stop // 2)
        chunks = _whole(self._data(first * self._width, last * self._width), self._width)
        pieces = (to_pcm16(self._codec, chunk).tobytes() for chunk in chunks)
        return _cut(pieces, start - 2 * first, stop - start)


class _Gsm:
    """GSM 06.10, whose decoder remembers what came before.

    Segments with fixed bounds are decoded each by itself after the same few blocks of warm-up: so
    a sample does not depend on where the listening began.
    """

    def __init__(self, data: Read, blocks: int, audio: AudioFacts) -> None:
        self._data = data
        self._blocks = blocks
        self._rate = audio.sample_rate
        self.size = blocks * GSM_SAMPLES * 2

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        length = SEGMENT * GSM_SAMPLES * 2
        while start < stop:
            segment = start // length
            end = min(stop, (segment + 1) * length)
            yield from self._segment(segment, start - segment * length, end - segment * length)
            start = end

    def _segment(self, segment: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield a part of a segment; what lies behind the part is not decoded."""
        block = 2 * GSM_SAMPLES
        warm_up = min(segment * SEGMENT, WARM_UP)
        first = segment * SEGMENT - warm_up
        last = segment * SEGMENT + -(-stop // block)
        chunks = self._data(first * GSM_BLOCK, last * GSM_BLOCK)
        with closing(self._decode(chunks)) as pieces:
            yield from _cut(pieces, warm_up * block + start, stop - start)

    def _decode(self, chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
        with Decoder("gsm", 1, self._rate) as decoder:
            for chunk in chunks:
                yield from decoder.feed(chunk)
            yield from decoder.finish()


class _Mp3:
    """MP3, decoded from its beginning; the length is what the archiver found."""

    def __init__(self, mp3: Rendition, size: int, audio: AudioFacts) -> None:
        self._mp3 = mp3
        self._audio = audio
        self.size = size

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        with closing(self._decode()) as pieces:
            yield from _cut(pieces, start, stop - start)

    def _decode(self) -> Generator[bytes, None, None]:
        length = 0
        with Decoder("mp3", self._audio.channels, self._audio.sample_rate) as decoder:
            for chunk in self._mp3.read_range(0, self._mp3.size):
                for piece in decoder.feed(chunk):
                    length += len(piece)
                    yield piece
            for piece in decoder.finish():
                length += len(piece)
                yield piece
        missing = self.size - length  # some decoders leave out the silence that encoders add
        if 0 < missing <= self._audio.sample_rate * self._audio.channels:
            yield bytes(missing)


def wav_header(channels: int, sample_rate: int, size: int) -> bytes:
    """Return the canonical 44 bytes before 16-bit PCM; a size beyond the format's is its highest.

    (Microsoft Multimedia Programming Interface and Data Specifications 1.0.)
    """
    frame = 2 * channels
    top = 0xFFFFFFFF
    return struct.pack(
        *("<4sI4s4sIHHIIHH4sI", b"RIFF", min(size + 36, top), b"WAVE", b"fmt ", 16, 1, channels),
        *(sample_rate, min(sample_rate * frame, top), frame, 16, b"data", min(size, top)),
    )


def _whole(chunks: Iterator[bytes], width: int) -> Iterator[bytes]:
    """Cut a stream anew so that no sample is divided."""
    rest = b""
    for chunk in chunks:
        chunk = rest + chunk if rest else chunk
        end = len(chunk) - len(chunk) % width
        rest = chunk[end:]
        yield chunk if not rest else chunk[:end]


def _cut(pieces: Iterator[bytes], skip: int, length: int) -> Generator[bytes, None, None]:
    """Yield `length` bytes of a stream after the first `skip`. Raises DecoderFailed if it lacks."""
    for piece in pieces:
        if skip >= len(piece):
            skip -= len(piece)
            continue
        piece = piece[skip : skip + length]
        skip, length = 0, length - len(piece)
        yield piece
        if not length:
            return
    if length:
        raise DecoderFailed("the decoder gave fewer samples than the recording has")
