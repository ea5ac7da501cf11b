"""The archive file, version 1: bytes in, bytes out.

A header without personal data, then one message of C2SP chunked-encryption (Cobblestone-256:
SHA-512, AES-256-GCM, chunks of 16 KiB) whose context binds the header. Whatever was altered, cut,
reordered or swapped is refused, and any second is read without what comes before it. See
docs/archive-format.md.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from common.errors import ArchiveError

MAGIC = b"CSREC\x00\x01\n"
CHUNK = 16384  # bytes of plaintext in every chunk but the last, which is shorter
TAG = 16
SALT = 24
COMMITMENT = 32
_CELL = CHUNK + TAG
_READ = 16  # chunks read from the disk at a time
_INFO = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
_RECORDING = b"callstash/recording/v1"
_PEAKS = b"callstash/peaks/v1"
_FIXED = {"alg": "cobblestone-256", "v": 1, "wrap": "RSA-OAEP-256"}
_MEMBERS = {"co", "kid", "mime", "pbx", "rec"} | _FIXED.keys()
_LONGEST_HEADER = 4096


@dataclass(frozen=True)
class Header:
    """What stands in clear before the ciphertext; `kid` is the key at the time of archiving."""

    pbx: UUID
    co: UUID
    rec: UUID
    kid: str
    mime: str

    def encode(self) -> bytes:
        """Return the magic, the length and the canonical JSON (RFC 8785)."""
        members = _FIXED | {
            key: str(value) if isinstance(value, UUID) else value
            for key, value in asdict(self).items()
        }
        text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        body = text.encode()
        return MAGIC + len(body).to_bytes(2, "big") + body


def _decode(body: bytes) -> Header:
    try:
        members = json.loads(body)
    except ValueError as error:
        raise ArchiveError("the header is not JSON") from error
    if not isinstance(members, dict) or members.keys() != _MEMBERS:
        raise ArchiveError("the header does not have the members of version 1")
    if any(
        members[key] != value or type(members[key]) is not type(value)
        for key, value in _FIXED.items()
    ):
        raise ArchiveError("the header names another version or algorithm")
    if not all(isinstance(members[key], str) for key in _MEMBERS - {"v"}):
        raise ArchiveError("a member of the header has the wrong type")
    try:
        header = Header(
            UUID(members["pbx"]),
            UUID(members["co"]),
            UUID(members["rec"]),
            members["kid"],
            members["mime"],
        )
        canonical = header.encode()
    except ValueError as error:
        raise ArchiveError("the header holds a malformed id") from error
    if canonical[len(MAGIC) + 2 :] != body:
        raise ArchiveError("the header is not in its canonical form")
    return header


def _context(purpose: bytes, prefix: bytes) -> bytes:
    return purpose + b"\x00" + hashlib.sha256(prefix).digest()


class _Chunks:
    """The keys of one message: encrypts and decrypts its chunks by number."""

    def __init__(self, cek: bytes, salt: bytes, context: bytes) -> None:
        okm = HKDFExpand(SHA512(), 76, _INFO + salt + context).derive(cek)
        self._aead = AESGCM(okm[:32])
        self._base = int.from_bytes(okm[32:44], "big")
        self.commitment = okm[44:]

    def seal(self, number: int, plaintext: bytes) -> bytes:
        return self._aead.encrypt((self._base ^ number).to_bytes(12, "big"), plaintext, None)

    def open(self, number: int, ciphertext: bytes) -> bytes:
        try:
            return self._aead.decrypt((self._base ^ number).to_bytes(12, "big"), ciphertext, None)
        except InvalidTag as error:
            raise ArchiveError(f"chunk {number} was altered") from error


class Encryptor:
    """Encrypts one recording as it comes in: write `prefix`, each `update`, then `finish`."""

    def __init__(self, header: Header, cek: bytes) -> None:
        head, salt = header.encode(), os.urandom(SALT)
        self._chunks = _Chunks(cek, salt, _context(_RECORDING, head))
        self._number = 0
        self._rest = b""
        self.prefix = head + salt + self._chunks.commitment

    def update(self, data: bytes) -> list[bytes]:
        """Return the chunks that `data` completes."""
        data = self._rest + data if self._rest else data
        whole = len(data) - len(data) % CHUNK
        first = self._number
        pieces = [
            self._chunks.seal(first + index, data[start : start + CHUNK])
            for index, start in enumerate(range(0, whole, CHUNK))
        ]
        self._number += len(pieces)
        self._rest = data[whole:]
        return pieces

    def finish(self) -> bytes:
        """Return the last chunk, which is always there and shorter than the others."""
        return self._chunks.seal(self._number, self._rest)


class Reader:
    """Reads any range of an archive file; raises ArchiveError before what is not authentic.

    The caller says whose recording it must be: files swapped with their keys are refused too.
    """

    def __init__(self, file: BinaryIO, cek: bytes, *, recording: UUID, company: UUID) -> None:
        self._file = file
        file.seek(0)
        start = self._exactly(len(MAGIC) + 2)
        length = int.from_bytes(start[-2:], "big")
        if not start.startswith(MAGIC) or not 1 <= length <= _LONGEST_HEADER:
            raise ArchiveError("this is not an archive file of version 1")
        body = self._exactly(length)
        self.header = _decode(body)
        if self.header.rec != recording or self.header.co != company:
            raise ArchiveError("the file belongs to another recording or company")
        salt, commitment = self._exactly(SALT), self._exactly(COMMITMENT)
        self._chunks = _Chunks(cek, salt, _context(_RECORDING, start + body))
        if not hmac.compare_digest(commitment, self._chunks.commitment):
            raise ArchiveError("the key does not belong to this file")
        self._start = file.tell()
        self._whole, last = divmod(file.seek(0, os.SEEK_END) - self._start, _CELL)
        if last < TAG:
            raise ArchiveError("the file is cut off")
        self.size = self._whole * CHUNK + last - TAG
        self._last = self._read(self._whole, last)

    def _exactly(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise ArchiveError("the file is cut off")
        return data

    def _read(self, number: int, length: int) -> bytes:
        self._file.seek(self._start + number * _CELL)
        return self._chunks.open(number, self._exactly(length))

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plaintext from `start` up to, not including, `stop`, decrypting only its"
        " chunks."""
        start, stop = max(0, start), min(stop, self.size)
        number = start // CHUNK
        while start < stop:
            if number < self._whole:
                count = min(_READ, self._whole - number, -(-stop // CHUNK) - number)
                self._file.seek(self._start + number * _CELL)
                block = self._exactly(count * _CELL)
                plain = b"".join(
                    self._chunks.open(number + index, block[index * _CELL : (index + 1) * _CELL])
                    for index in range(count)
                )
            else:
                count, plain = 1, self._last
            offset = start - number * CHUNK
            yield plain[offset : stop - number * CHUNK]
            number += count
            start = number * CHUNK


def encrypt_peaks(header: Header, cek: bytes, peaks: bytes) -> bytes:
    """Encrypt a waveform under the content key of its recording."""
    salt = os.urandom(SALT)
    chunks = _Chunks(cek, salt, _context(_PEAKS, header.encode()))
    cells = [
        chunks.seal(number, peaks[start : start + CHUNK])
        for number, start in enumerate(range(0, len(peaks) + 1, CHUNK))
    ]
    return salt + chunks.commitment + b"".join(cells)


def decrypt_peaks(header: bytes, cek: bytes, sealed: bytes) -> bytes:
    """Decrypt a waveform; `header` is the encoded header of its recording. Raises ArchiveError."""
    salt, commitment, body = (
        sealed[:SALT],
        sealed[SALT : SALT + COMMITMENT],
        sealed[SALT + COMMITMENT :],
    )
    chunks = _Chunks(cek, salt, _context(_PEAKS, header))
    if not hmac.compare_digest(commitment, chunks.commitment) or len(body) % _CELL < TAG:
        raise ArchiveError("the waveform does not belong to this recording")
    return b"".join(
        chunks.open(number, body[start : start + _CELL])
        for number, start in enumerate(range(0, len(body), _CELL))
    )
