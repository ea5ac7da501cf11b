"""The rows of recordings, in a file for each day: catalogues share those of days that did not
change, so that a backup costs what is new and each catalogue is complete all the same.
"""

import gzip
import hashlib
from collections.abc import Generator, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO

from common.db import Connection
from common.rowfile import END, TABLES, RowFile
from daemons.backupd.queries import daily
from daemons.backupd.queries.daily import Day

LEVEL = 3  # most of it is keys and hashes, which nothing packs
PIECE = 64 << 20  # bytes between two steps


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def write(reader: Connection, day: date, place: Path) -> Generator[None, None, Day | None]:
    """Write the file of a day into `place`; return None, and write none, where it has no rows.

    `reader` is in a transaction that sees one snapshot.
    """
    recordings, calls, size = daily.day(reader, day)
    if not recordings:
        return None
    content, written = hashlib.sha256(), 0
    new = place / "new"
    with new.open("wb") as file:
        packed = _Hashed(file)
        with gzip.GzipFile("", "wb", LEVEL, packed, mtime=0) as out:
            for piece in _content(reader, day):
                content.update(piece)
                out.write(piece)
                written += len(piece)
                if written >= PIECE:
                    written = 0
                    yield
    path = place / RowFile(day, packed.sha256.hexdigest()).name
    path.parent.mkdir(parents=True, exist_ok=True)
    new.rename(path)
    return Day(day, packed.sha256.digest(), content.digest(), calls, size)


def _content(reader: Connection, day: date) -> Iterator[bytes]:
    for table in TABLES:
        columns = ", ".join(daily.columns(reader, table))
        yield f"COPY public.{table} ({columns}) FROM stdin;\n".encode()
        yield from daily.rows_of(reader, table, columns, day)
        yield END


def manifest(days: Iterable[Day]) -> str:
    """Return what a catalogue says of the files of its days, as sha256sum(1) takes it."""
    files = (RowFile(one.day, one.sha256.hex()) for one in days)
    return "".join(f"{file.sha256}  {file.name}\n" for file in files)
