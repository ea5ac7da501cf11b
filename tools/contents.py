"""What an export writes of each call: the file as it lies, or plain audio."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

from common import files, keys
from common.errors import ArchiveError
from common.leaving import Call, Total
from common.playback import KeyRing, open_recording
from common.store import Store

BLOCK = 1 << 18
Piece = TypeVar("Piece", bytes, memoryview)


class Content(Protocol):
    """What is written of each call."""

    kind: str
    suffix: str
    asked: dict[str, str]  # what else decides which export it is

    def size(self, total: Total) -> int:
        """Return the bytes of the calls when they are written."""

    def write(self, one: Call, out: int) -> bytes:
        """Write it to a descriptor and return its SHA-256. Raises CallStashError."""

    def key(self, one: Call) -> tuple[str, bytes]:
        """Return the id of the key that opens it, and the eCEK for that key."""


def _readable(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pass pieces on; a file that a bad disk does not give costs that call, not the export."""
    try:
        yield from pieces
    except OSError as error:
        raise ArchiveError(f"its file can't be read: {error.strerror}") from error


class Encrypted:
    """The files as they lie; where `public` is given, their keys are wrapped for it instead."""

    kind = "encrypted"
    suffix = ".csrec"

    def __init__(self, store: Store, ring: KeyRing | None = None, public: bytes = b"") -> None:
        self._store = store
        self._ring = ring
        self._public = public
        self._kept = threading.local()  # each writer's buffer: fresh memory costs more than SHA
        self.asked = {"to_key": keys.key_id(public)} if public else {}

    def size(self, total: Total) -> int:
        """Return the bytes of the files as they lie."""
        return total.encrypted

    def write(self, one: Call, out: int) -> bytes:
        """Copy the file; one that is not what was stored is refused."""
        path = self._store.path(one.company_id, one.started_at, one.recording_id, one.generation)
        digest = hashlib.sha256()
        for piece in _readable(self._pieces(path)):
            digest.update(piece)
            files.write_all(out, [piece])
        if digest.digest() != one.file_sha256:
            raise ArchiveError("the file is not what was stored")
        return one.file_sha256

    def _pieces(self, path: Path) -> Iterator[memoryview]:
        buffer = self._kept.__dict__.setdefault("buffer", memoryview(bytearray(BLOCK)))
        with self._store.open(path) as file:
            while count := os.readv(file.fileno(), [buffer]):
                yield buffer[:count]

    def key(self, one: Call) -> tuple[str, bytes]:
        """Return the key of the company, or that of the client."""
        if self._ring is None:
            return one.kid, one.ecek
        cek = self._ring.content_key(one)
        return keys.key_id(self._public), keys.wrap(self._public, cek)


class Wav:
    """Plain audio that every program plays."""

    kind = "wav"
    suffix = ".wav"

    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring
        self.asked: dict[str, str] = {}

    def size(self, total: Total) -> int:
        """Return the bytes of the samples."""
        return total.wav

    def write(self, one: Call, out: int) -> bytes:
        """Decrypt the file, all of which must be authentic."""
        digest = hashlib.sha256()
        opened = open_recording(self._store, self._ring, one)
        with closing(opened.file):
            source = opened.wav()
            for piece in _readable(source.read_range(0, source.size)):
                digest.update(piece)
                files.write_all(out, [piece])
        return digest.digest()

    def key(self, one: Call) -> tuple[str, bytes]:
        """Return none: there is nothing to open."""
        return "", b""
