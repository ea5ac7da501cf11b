"""From a row of the archive to bytes that somebody may hear: key, authenticated file, rendition.

Nothing is decrypted that was not asked for, and nothing leaves that did not authenticate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from os import fstat
from typing import BinaryIO, Protocol
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from common import archive, keys, seal, transcode
from common.errors import ArchiveError, KeyUnavailable
from common.store import Store

_KEYS = 64  # companies' keys in memory


@dataclass(frozen=True)
class Audio:
    """The stored file of a recording, and what opens it."""

    recording_id: UUID
    company_id: int
    company_uid: UUID
    started_at: datetime
    generation: int
    key_version: int
    kid: str
    private_sealed: bytes | None
    ecek: bytes
    file_size: int
    file_sha256: bytes
    audio_size: int
    audio_sha256: bytes
    mime: str
    codec: str
    channels: int
    sample_rate: int
    seconds: float
    data_offset: int
    data_size: int
    peaks: bytes | None


class KeyRing:
    """Opens companies' private keys with the master key and keeps a few of them in memory."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._open = lru_cache(_KEYS)(self._unseal)

    def seal(self, secret: bytes, context: bytes) -> bytes:
        """Seal something that only the web UI may read."""
        return seal.seal(seal.public_key(self._master), secret, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Return what was sealed for the web UI. Raises KeyUnavailable."""
        return seal.unseal(self._master, sealed, context)

    def _unseal(self, sealed: bytes, company: UUID, kid: str, version: int) -> RSAPrivateKey:
        return keys.open_company_key(self._master, sealed, company, kid, version)

    def content_key(self, row: Audio) -> bytes:
        """Return the content key of a recording. Raises KeyUnavailable."""
        if row.private_sealed is None:
            raise KeyUnavailable(
                f"the private key {row.kid} of company {row.company_id} is not here"
            )
        private = self._open(row.private_sealed, row.company_uid, row.kid, row.key_version)
        return keys.unwrap(private, row.ecek)


class Source(Protocol):
    """Bytes of which any part can be had."""

    @property
    def mime(self) -> str:
        """Media type."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Return the bytes from `start` up to, not including, `stop`."""


@dataclass(frozen=True)
class Opened:
    """An open recording: its file, what it is encrypted with, and the authenticated reader."""

    row: Audio
    file: BinaryIO
    content_key: bytes
    reader: archive.Reader

    @property
    def mime(self) -> str:
        """Media type of what the PBX sent."""
        return self.row.mime

    @property
    def size(self) -> int:
        """Bytes that the PBX sent."""
        return self.reader.size

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Return a part of what the PBX sent. Raises ArchiveError."""
        return self.reader.read_range(start, stop)

    def rendition(self) -> Source:
        """Return the recording as every browser can play it."""
        return transcode.rendition(self._facts, self.read_range)

    def wav(self) -> Source:
        """Return the recording as a file that every program can play."""
        return transcode.wav(self._facts, self.row.seconds, self.read_range)

    @property
    def _facts(self) -> transcode.AudioFacts:
        row = self.row
        return transcode.AudioFacts(
            row.mime, row.codec, row.channels, row.sample_rate,
            row.data_offset, row.data_size, row.audio_size,
        )  # fmt: skip

    def peaks(self) -> bytes | None:
        """Return the waveform; None where the codec could not be read. Raises ArchiveError."""
        if self.row.peaks is None:
            return None
        header = self.reader.header.encode()
        return archive.decrypt_peaks(header, self.content_key, self.row.peaks)


def open_recording(store: Store, ring: KeyRing, row: Audio) -> Opened:
    """Open the stored file of a recording. Raises ArchiveError and KeyUnavailable."""
    content_key = ring.content_key(row)
    path = store.path(row.company_id, row.started_at, row.recording_id, row.generation)
    try:
        file = store.open(path)
    except OSError as error:
        raise ArchiveError(f"{path} can't be opened: {error.strerror}") from error
    try:
        return Opened(row, file, content_key, _reader(file, content_key, row))
    except BaseException:
        file.close()
        raise


def _reader(file: BinaryIO, content_key: bytes, row: Audio) -> archive.Reader:
    if fstat(file.fileno()).st_size != row.file_size:
        raise ArchiveError("the file has another size than when it was stored")
    reader = archive.Reader(file, content_key, recording=row.recording_id, company=row.company_uid)
    if reader.size != row.audio_size:
        raise ArchiveError("the file holds another recording than was stored")
    return reader
