"""The sample formats of telephone recordings as 16-bit PCM, by numpy; G.711 by table."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.int16]

# Bytes of one sample; GSM and MP3 are not here because they have no samples without a decoder.
WIDTHS = {"ulaw": 1, "alaw": 1, "pcm": 2, "pcm8": 1, "pcm24": 3, "pcm32": 4, "float32": 4}


def _ulaw() -> Samples:
    """Return the linear value of each µ-law byte (ITU-T G.711, table 2a)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _alaw() -> Samples:
    """Return the linear value of each A-law byte (ITU-T G.711, table 1a)."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(segment, step + 0x108 << np.maximum(segment - 1, 0), step + 8)
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


ULAW = _ulaw()
ALAW = _alaw()


def to_pcm16(codec: str, data: bytes | bytearray | memoryview) -> Samples:
    """Return whole samples of one of WIDTHS as 16-bit PCM, little endian."""
    if codec == "pcm":
        return np.frombuffer(data, "<i2")
    octets = np.frombuffer(data, np.uint8)
    if codec == "ulaw":
        return ULAW.take(octets)  # twice as fast as an index
    if codec == "alaw":
        return ALAW.take(octets)
    if codec == "pcm8":
        return (octets.astype("<i2") - 128) << 8
    if codec == "float32":
        linear = np.nan_to_num(np.frombuffer(data, "<f4"), posinf=1.0, neginf=-1.0)
        rounded: Samples = np.rint(np.clip(linear, -1.0, 32767 / 32768) * 32768).astype("<i2")
        return rounded
    upper = octets.reshape(-1, WIDTHS[codec])[:, -2:]  # the two most significant bytes
    return np.ascontiguousarray(upper).view("<i2").ravel()
