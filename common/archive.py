"""The archive file, version 1: bytes in, bytes out.

A header without personal data, then one message of C2SP chunked-encryption (Cobblestone-256:
SHA-512, AES-256-GCM, chunks of 16 KiB) whose context binds the header. Whatever was altered, cut,
reordered or swapped is refused, and any second is read without what comes before it. See
docs/archive-format.md.
"""

import hashlib
import hmac
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from common.errors import ArchiveError

MAGIC = b"CSREC\x00\x01\n"
CEK = 32
SALT = 24
COMMITMENT = 32
CHUNK = 16384  # bytes of plaintext in every chunk but the last, which is shorter
TAG = 16
_CELL = CHUNK + TAG
_READ = 16  # chunks read from the disk at a time
_INFO = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
_RECORDING = b"callstash/recording/v1"
_PEAKS = b"callstash/peaks/v1"

# The one canonical form (RFC 8785). What a header may hold needs no escaping, so a pattern decides
# and no JSON parser ever sees the bytes of a stranger. The media type is that of RFC 6838, 4.2.
_JSON = (
    '{"alg":"cobblestone-256","co":"%s","kid":"%s","mime":"%s","pbx":"%s","rec":"%s","v":1,'
    '"wrap":"RSA-OAEP-256"}'
)
_UUID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_NAME = "[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
_HEADER = re.compile(
    re.escape(_JSON) % (_UUID, "([0-9a-f]{16})", f"({_NAME}/{_NAME})", _UUID, _UUID)
)
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
        """Return the magic, the length and the JSON.

        Raises ArchiveError on a key id or media type that no reader would accept.
        """
        text = _JSON % (self.co, self.kid, self.mime, self.pbx, self.rec)
        if not _HEADER.fullmatch(text):
            raise ArchiveError("the key id or media type does not fit in a header")
        return MAGIC + len(text).to_bytes(2, "big") + text.encode()


def _decode(body: bytes) -> Header:
    match = _HEADER.fullmatch(body.decode("latin-1"))
    if match is None:
        raise ArchiveError("the header is not one of version 1 in its canonical form")
    co, kid, mime, pbx, rec = match.groups()
    return Header(UUID(pbx), UUID(co), UUID(rec), kid, mime)


def _context(purpose: bytes, header: bytes) -> bytes:
    return purpose + b"\x00" + hashlib.sha256(header).digest()


class _Keys:
    """What is derived for one message; encrypts and decrypts its chunks by number."""

    def __init__(self, cek: bytes, salt: bytes, context: bytes) -> None:
        if len(cek) != CEK:
            raise ArchiveError(f"a content key has {CEK} bytes, not {len(cek)}")
        okm = HKDFExpand(SHA512(), 76, _INFO + salt + context).derive(cek)
        self._aead = AESGCM(okm[:32])
        self._base = int.from_bytes(okm[32:44], "big")
        self.commitment = okm[44:]

    def _nonce(self, number: int) -> bytes:
        if number >> 38:
            raise ArchiveError("the recording is longer than 2^38 chunks")
        return (self._base ^ number).to_bytes(12, "big")

    def seal(self, number: int, plaintext: bytes) -> bytes:
        return self._aead.encrypt(self._nonce(number), plaintext, None)

    def open(self, number: int, ciphertext: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(number), ciphertext, None)
        except InvalidTag as error:
            raise ArchiveError(f"chunk {number} was altered, or is not of this file") from error


class _MessageWriter:
    """Encrypts one message under a fresh salt."""

    def __init__(self, cek: bytes, context: bytes) -> None:
        salt = os.urandom(SALT)
        self._keys = _Keys(cek, salt, context)
        self._number = 0
        self._rest = b""
        self.prefix = salt + self._keys.commitment

    def _seal(self, plaintext: bytes) -> bytes:
        number = self._number
        self._number += 1  # first, so that no number can ever be used twice
        return self._keys.seal(number, plaintext)

    def update(self, data: bytes | memoryview) -> list[bytes]:
        """Return the chunks that `data` completes. `data` may be overwritten afterwards."""
        view, pieces = memoryview(data), []
        start, stop = 0, CHUNK - len(self._rest)
        while stop <= len(view):
            pieces.append(self._seal(self._rest + view[start:stop]))
            self._rest = b""
            start, stop = stop, stop + CHUNK
        self._rest += view[start:]
        return pieces

    def finish(self) -> bytes:
        """Return the last chunk, which is always there and shorter than the others."""
        last = self._seal(self._rest)
        del self._rest  # to go on after this is a bug and must not pass unnoticed
        return last


class Encryptor(_MessageWriter):
    """Encrypts one recording as it comes in: write `prefix`, each `update`, then `finish`."""

    def __init__(self, header: Header, cek: bytes) -> None:
        head = header.encode()
        super().__init__(cek, _context(_RECORDING, head))
        self.prefix = head + self.prefix


def _read_exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    while len(data) < length:  # an unbuffered file may give less than asked
        more = file.read(length - len(data))
        if not more:
            raise ArchiveError("the file is cut off")
        data += more
    return data


class _MessageReader:
    """Reads the message that begins where `file` stands and goes on to its end.

    The commitment is compared, and the last chunk opened, before anything else: `size`, in bytes
    of plaintext, is authentic.
    """

    def __init__(self, file: BinaryIO, cek: bytes, context: bytes) -> None:
        self._file = file
        salt, commitment = _read_exactly(file, SALT), _read_exactly(file, COMMITMENT)
        self._keys = _Keys(cek, salt, context)
        if not hmac.compare_digest(commitment, self._keys.commitment):
            raise ArchiveError("the content key does not belong to this file, or it was altered")
        self._start = file.tell()
        self._whole, last = divmod(file.seek(0, os.SEEK_END) - self._start, _CELL)
        if last < TAG:
            raise ArchiveError("the file is cut off")
        self.size = self._whole * CHUNK + last - TAG
        self._last = self._keys.open(self._whole, self._cells(self._whole, last))

    def _cells(self, number: int, length: int) -> bytes:
        self._file.seek(self._start + number * _CELL)
        return _read_exactly(self._file, length)

    def read_range(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plaintext from `start` up to, not including, `stop`; both are cut to the size.

        Only the chunks of the range are read. Raises ArchiveError before any byte that is not
        authentic.
        """
        start, stop = max(0, start), min(stop, self.size)
        number = start // CHUNK
        while start < stop:
            if number < self._whole:
                count = min(_READ, self._whole - number, -(-stop // CHUNK) - number)
                cells = self._cells(number, count * _CELL)
                plain = b"".join(
                    self._keys.open(number + index, cells[index * _CELL : (index + 1) * _CELL])
                    for index in range(count)
                )
            else:
                count, plain = 1, self._last
            begin = number * CHUNK
            yield plain[start - begin : stop - begin]
            number += count
            start = number * CHUNK


class Reader(_MessageReader):
    """Reads any range of an archive file; raises ArchiveError where it is not what was stored.

    The caller says whose recording it must be: files swapped with their keys are refused too.
    """

    def __init__(self, file: BinaryIO, cek: bytes, *, recording: UUID, company: UUID) -> None:
        file.seek(0)
        start = _read_exactly(file, len(MAGIC) + 2)
        length = int.from_bytes(start[-2:], "big")
        if not start.startswith(MAGIC) or not 1 <= length <= _LONGEST_HEADER:
            raise ArchiveError("this is not an archive file of version 1")
        body = _read_exactly(file, length)
        self.header = _decode(body)
        if self.header.rec != recording or self.header.co != company:
            raise ArchiveError("the file belongs to another recording or company")
        super().__init__(file, cek, _context(_RECORDING, start + body))


def encrypt_peaks(header: Header, cek: bytes, peaks: bytes) -> bytes:
    """Encrypt a waveform under the content key of its recording."""
    writer = _MessageWriter(cek, _context(_PEAKS, header.encode()))
    return writer.prefix + b"".join(writer.update(peaks)) + writer.finish()


def decrypt_peaks(header: bytes, cek: bytes, sealed: bytes) -> bytes:
    """Decrypt a waveform; `header` is the encoded header of its recording. Raises ArchiveError."""
    reader = _MessageReader(io.BytesIO(sealed), cek, _context(_PEAKS, header))
    return b"".join(reader.read_range(0, reader.size))
