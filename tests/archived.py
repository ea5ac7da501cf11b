"""Archive files for tests: written and read whole."""

import io
import os
from uuid import UUID

from common.archive import CHUNK, COMMITMENT, SALT, TAG, Encryptor, Header, Reader

CEK = os.urandom(32)
HEADER = Header(
    UUID("a0b1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d"),
    UUID("f1e2d3c4-b5a6-4a78-a069-5c4d3e2f1a0b"),
    UUID("6f1d0c3a-5b7e-4c2d-9a8f-0b1c2d3e4f5a"),
    "0123456789abcdef",
    "audio/wav",
)
CELL = CHUNK + TAG


def encrypt(plaintext: bytes, header: Header = HEADER, cek: bytes = CEK) -> bytes:
    """Return an archive file."""
    encryptor = Encryptor(header, cek)
    return encryptor.prefix + b"".join(encryptor.update(plaintext)) + encryptor.finish()


def open_file(file: bytes, header: Header = HEADER, cek: bytes = CEK) -> Reader:
    """Return a reader of the recording that `header` names. Raises ArchiveError."""
    return Reader(io.BytesIO(file), cek, recording=header.rec, company=header.co)


def read(file: bytes, header: Header = HEADER, cek: bytes = CEK) -> bytes:
    """Return all of the plaintext. Raises ArchiveError."""
    reader = open_file(file, header, cek)
    plaintext = b"".join(reader.read_range(0, reader.size))
    assert len(plaintext) == reader.size
    return plaintext


def split(file: bytes, header: Header = HEADER) -> tuple[bytes, list[bytes]]:
    """Return what stands before the chunks, and the chunks."""
    start = len(header.encode()) + SALT + COMMITMENT
    return file[:start], [file[at : at + CELL] for at in range(start, len(file), CELL)]
