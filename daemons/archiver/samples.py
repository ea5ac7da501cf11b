"""The samples of one recording while they stream by: counted, timed and drawn.

A decoder that fails costs the waveform and never the recording.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from common.ffmpeg import Decoder, DecoderFailed
from common.pcm import WIDTHS
from common.transcode import GSM_BLOCK, GSM_SAMPLES
from daemons.archiver import mp3
from daemons.archiver.waveform import Waveform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Format:
    """What a header says of the samples. `codec` may be "other": not known to us."""

    codec: str
    channels: int
    sample_rate: int
    byte_rate: int  # bytes a second; 0: unknown


class Samples:
    """The samples of a recording: counted, and drawn where their codec is known."""

    def __init__(self, form: Format) -> None:
        self.format = form
        self.size = 0
        self._waveform: Waveform | None = None
        self._decoder: Decoder | None = None
        self._frames = mp3.Frames() if form.codec == "mp3" else None
        if form.codec in WIDTHS:
            self._waveform = Waveform(form.codec, form.channels)

    def feed(self, data: memoryview) -> None:
        """Take the next bytes of samples."""
        if not self.size and self.format.codec in ("gsm", "mp3"):
            self._start()
        self.size += len(data)
        if self._frames:
            self._frames.add(data)
        if self._decoder:
            self._draw(self._decoder.feed(data))
        elif self._waveform:
            self._waveform.add(data)

    def finish(self) -> tuple[float, bytes | None]:
        """Return the length in seconds and the picture."""
        if self._decoder:
            self._draw(self._decoder.finish())
        return self._seconds(), self._waveform.finish() if self._waveform else None

    def close(self) -> None:
        """End the decoder."""
        if self._decoder:
            self._decoder.close()
            self._decoder = None

    def _start(self) -> None:
        form = self.format
        try:
            self._decoder = Decoder(form.codec, form.channels, form.sample_rate)
        except DecoderFailed as error:
            self._give_up(error)
        else:
            self._waveform = Waveform("pcm", form.channels)

    def _draw(self, pieces: Iterator[bytes]) -> None:
        assert self._waveform
        try:
            for piece in pieces:
                self._waveform.add(piece)
        except DecoderFailed as error:
            self._give_up(error)

    def _give_up(self, error: DecoderFailed) -> None:
        """Do without a picture: the recording matters more."""
        log.warning("a recording gets no waveform: %s", error)
        self._waveform = None
        self.close()

    def _seconds(self) -> float:
        form = self.format
        if form.codec == "gsm":
            return self.size // GSM_BLOCK * GSM_SAMPLES / form.sample_rate
        if self._waveform:
            return self._waveform.frames / form.sample_rate
        if self._frames:
            return self._frames.samples / form.sample_rate
        return self.size / form.byte_rate if form.byte_rate else 0.0
