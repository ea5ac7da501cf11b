"""An export as one archive: ZIP without compression (APPNOTE 6.3, with ZIP64). Its layout is known
before its first byte, so that any part of it can be sent and a broken download goes on.

The files lie where the housekeeper prepared them, the recordings in the archive of recordings. One
that was deleted since has zeros in its place: the archive stays whole, and whoever unpacks it is
told which file is not what was listed.
"""

import hashlib
import logging
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from common import exports
from common.exports import File, Member, Members
from common.leaving import Signer
from common.store import Store

log = logging.getLogger(__name__)

BLOCK = 1 << 18
FULL = 0xFFFFFFFF  # the number stands in the ZIP64 field
UNIX, REGULAR = 3, 0o100600
LOCAL, CENTRAL = 94, 122  # bytes of a recording's headers
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")


class ArchiveAway(Exception):
    """The disk with the recordings is not there: nothing is sent that would look deleted."""


@dataclass(frozen=True)
class _Region:
    """Some bytes of the archive, of which `read` gives any range."""

    length: int
    read: Callable[[int, int], Iterator[bytes]]


class Bundle:
    """The archive of an export that is ready. Raises OSError where its files are gone."""

    def __init__(
        self, directory: Path, store: Store, company_id: int, signer: Signer, box: UUID,
        at: datetime,
    ) -> None:  # fmt: skip
        self._directory, self._store, self._company_id, self._box = (
            directory,
            store,
            company_id,
            box,
        )
        self._members = Members(directory)
        date = (at.year - 1980) << 9 | at.month << 5 | at.day
        self._stamp = (at.hour << 11 | at.minute << 5 | at.second // 2, date)
        manifest = (directory / exports.MANIFEST).read_bytes()
        signature = signer.sign(manifest)
        self.tag = f'"{hashlib.sha256(signature).hexdigest()}"'
        self._regions = list(self._layout(exports.head(directory), signature, signer.pem))
        self.size = sum(region.length for region in self._regions)

    def _layout(self, found: list[File], signature: bytes, pem: bytes) -> Iterator[_Region]:
        made = {"manifest.sig": signature, "signer.pem": pem}
        known = [File(name, len(content), zlib.crc32(content)) for name, content in made.items()]
        at, central = 0, b""
        for one in [*found, *known]:
            header = self._local(one.name, one.size, one.crc)
            central += self._central(one.name, one.size, one.crc, at)
            at += len(header) + one.size
            yield _literal(header)
            yield _literal(made[one.name]) if one.name in made else self._file(one)
        self._base, count = at, len(self._members)
        last = self._members[count - 1] if count else None
        recordings = last.offset + LOCAL + last.size if last else 0
        yield _Region(recordings, self._recordings)
        yield _literal(central)
        yield _Region(count * CENTRAL, self._directory_of_recordings)
        entries = count + len(found) + len(known)
        yield _literal(_ending(entries, len(central) + count * CENTRAL, at + recordings))

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `stop`.

        Raises ArchiveAway; OSError where the export is removed meanwhile.
        """
        begin = 0
        for region in self._regions:
            first, last = max(start - begin, 0), min(stop - begin, region.length)
            if first < last:
                yield from region.read(first, last)
            begin += region.length

    def _local(self, name: str, size: int, crc: int) -> bytes:
        extra = struct.pack("<2H2Q", 1, 16, size, size) if size >= FULL else b""
        shown = min(size, FULL)
        return (
            _LOCAL.pack(b"PK\x03\x04", 45, 0, 0, *self._stamp, crc, shown, shown, len(name),
                        len(extra)) + name.encode() + extra
        )  # fmt: skip

    def _central(self, name: str, size: int, crc: int, offset: int) -> bytes:
        """Return an entry of the directory; its offset is always in the ZIP64 field, so that all
        entries of recordings are of one length.
        """
        numbers = (size, size, offset) if size >= FULL else (offset,)
        extra = struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)
        shown = min(size, FULL)
        return (
            _CENTRAL.pack(b"PK\x01\x02", 45, UNIX, 45, 0, 0, 0, *self._stamp, crc, shown, shown,
                          len(name), len(extra), 0, 0, 0, REGULAR << 16, FULL)
            + name.encode() + extra
        )  # fmt: skip

    def _file(self, one: File) -> _Region:
        def read(start: int, stop: int) -> Iterator[bytes]:
            with (self._directory / one.name).open("rb") as file:
                file.seek(start)
                while start < stop and (piece := file.read(min(BLOCK, stop - start))):
                    yield piece
                    start += len(piece)
            if start < stop:
                raise FileNotFoundError(f"{one.name} is shorter than it was")

        return _Region(one.size, read)

    def _recordings(self, start: int, stop: int) -> Iterator[bytes]:
        members = self._members
        number = bisect_right(range(len(members)), start, key=lambda n: members[n].offset) - 1
        while start < stop:
            one = members[number]
            begin, end = start - one.offset, min(stop - one.offset, LOCAL + one.size)
            if begin < LOCAL:
                yield self._local(one.name, one.size, one.crc)[begin : min(end, LOCAL)]
            if end > LOCAL:
                yield from self._recording(one, max(begin - LOCAL, 0), end - LOCAL)
            start, number = one.offset + end, number + 1

    def _recording(self, one: Member, start: int, stop: int) -> Iterator[bytes]:
        path = self._store.path(self._company_id, one.started_at, one.recording, one.generation)
        try:
            with self._store.open(path) as file:
                while start < stop and (
                    piece := os.pread(file.fileno(), min(BLOCK, stop - start), start)
                ):
                    yield piece
                    start += len(piece)
        except OSError as error:
            if not self._store.belongs_to(self._box):
                raise ArchiveAway from error
            log.warning("not in an export any more: %s", error.strerror,
                        extra={"recording": one.recording})  # fmt: skip
        while start < stop:
            yield bytes(min(BLOCK, stop - start))
            start += min(BLOCK, stop - start)

    def _directory_of_recordings(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            number, begin = divmod(start, CENTRAL)
            some = range(number, min(number + 1000, len(self._members)))
            piece = b"".join(map(self._entry, some))[begin : begin + stop - start]
            yield piece
            start += len(piece)

    def _entry(self, number: int) -> bytes:
        one = self._members[number]
        return self._central(one.name, one.size, one.crc, self._base + one.offset)


def _literal(content: bytes) -> _Region:
    return _Region(len(content), lambda start, stop: iter([content[start:stop]]))


def _ending(entries: int, length: int, begin: int) -> bytes:
    """Return what ends the archive: how many entries its directory has, and where that is."""
    end64 = _END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, length, begin)
    locator = _LOCATOR.pack(b"PK\x06\x07", 0, begin + length, 1)
    return end64 + locator + _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, FULL, FULL, 0)
