"""The waveform of a recording in one pass: the loudest sample of each of at most 800 windows.

Windows double as the recording grows, so memory does not; G.711 is compared in its own code, and
only the few maxima are made linear.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.pcm import WIDTHS, to_pcm16

VERSION = 1
WINDOWS = 800

# Bytes that are worth a call of numpy: smaller pieces are gathered. Much larger ones, and each
# buffer is a fresh mapping whose pages cost more than the arithmetic.
_BATCH = 1 << 17

Levels = NDArray[np.int32]


class Waveform:
    """Draws the samples of a codec with a fixed width (common.pcm.WIDTHS).

    More than two channels are drawn as one.
    """

    def __init__(self, codec: str, channels: int) -> None:
        self._codec, self._channels = codec, channels
        self._lanes = channels if channels <= 2 else 1
        self._frame = WIDTHS[codec] * channels
        self._pending = bytearray()
        self._levels: Levels = np.zeros((WINDOWS, self._lanes), np.int32)
        self._drawn = 0  # frames in the levels
        self._window = 1  # frames; a power of 2

    @property
    def frames(self) -> int:
        """Whole frames so far."""
        return self._drawn + len(self._pending) // self._frame

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes, cut anywhere."""
        if self._pending or len(data) < _BATCH:
            self._pending += data
            if len(self._pending) < _BATCH:
                return
            data, self._pending = self._pending, bytearray()
        frames = len(data) // self._frame
        self._make_room(frames)
        if self._window * self._frame <= _BATCH:  # better than to draw windows in two parts
            frames -= min(frames, (self._drawn + frames) % self._window)
        view = memoryview(data)
        self._pending += view[frames * self._frame :]
        self._draw(view[: frames * self._frame])

    def finish(self) -> bytes:
        """Return version, channels, and the peaks, interleaved, 255 being full scale."""
        frames = len(self._pending) // self._frame
        self._make_room(frames)
        self._draw(memoryview(self._pending)[: frames * self._frame])
        levels = self._levels[: -(-self._drawn // self._window)]
        scaled = ((levels * 255 + (1 << 14)) >> 15).astype(np.uint8)
        self._pending.clear()
        return bytes((VERSION, self._lanes)) + scaled.tobytes()

    def _draw(self, data: memoryview) -> None:
        frames = len(data) // self._frame
        first = min(-self._drawn % self._window, frames)  # these end a window that has begun
        last = (frames - first) % self._window  # these begin one
        parts = ((first, first), (frames - first - last, self._window), (last, last))
        at = 0
        for count, window in parts:
            if count:
                self._enter(data[at * self._frame : (at + count) * self._frame], window)
                at, self._drawn = at + count, self._drawn + count

    def _enter(self, data: memoryview, window: int) -> None:
        levels = _loudest(self._codec, data, self._channels, window)
        if self._lanes < self._channels:
            levels = levels.max(axis=1, keepdims=True)
        place = self._drawn // self._window
        part = self._levels[place : place + len(levels)]
        np.maximum(part, levels, out=part)

    def _make_room(self, frames: int) -> None:
        """Let each two windows become one until there are enough for more frames."""
        half = WINDOWS // 2
        while self._drawn + frames > WINDOWS * self._window:
            self._levels[:half] = self._levels.reshape(half, 2, self._lanes).max(axis=1)
            self._levels[half:] = 0
            self._window *= 2


def _loudest(codec: str, data: memoryview, channels: int, window: int) -> Levels:
    """Return the linear peak, 0 to 32768, of each window and channel."""
    if codec in ("ulaw", "alaw"):
        # Without its sign a code of µ-law falls with the magnitude, and one of A-law rises with it
        # once every other bit is inverted.
        codes = np.frombuffer(data, np.uint8)
        if codec == "ulaw":
            peaks = _extreme(np.minimum, codes & 0x7F, channels, window)
        else:
            peaks = _extreme(np.maximum, (codes ^ 0x55) & 0x7F, channels, window) ^ 0x55
        return np.abs(to_pcm16(codec, peaks.tobytes()).astype(np.int32)).reshape(peaks.shape)
    samples = to_pcm16(codec, data)
    high = _extreme(np.maximum, samples, channels, window).astype(np.int32)
    low = _extreme(np.minimum, samples, channels, window).astype(np.int32)
    return np.maximum(high, -low)


def _extreme(choose: np.ufunc, samples: NDArray[Any], channels: int, window: int) -> NDArray[Any]:
    """Return the extreme sample of each window and channel.

    Of several channels, one half of a window is compared with the other as long as it goes: numpy
    is many times faster on long rows.
    """
    table = samples.reshape(-1, window * channels)
    while channels > 1 and window % 2 == 0:
        window //= 2
        table = choose(table[:, : window * channels], table[:, window * channels :])
    extremes: NDArray[Any] = choose.reduce(table.reshape(-1, window, channels), axis=1)
    return extremes
