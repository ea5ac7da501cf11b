"""The rows of recordings in a backup: a file for each day (UTC), named after its hash and listed in
each catalogue whose database it belongs to.

A file is gzip of what PostgreSQL's COPY writes, so that psql(1) takes it too. It never changes: a
day whose rows changed gets a new one, and the catalogues before keep theirs.
"""

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from common.db import Connection
from common.errors import CallStashError

TABLES = ("recording", "recording_audio", "recording_owner")  # each after what it refers to
LIST = "ROWS"  # in a catalogue: hash and name of each file, as sha256sum(1) takes it
DIRECTORY = "rows"
END = b"\\.\n"
NAME = re.compile(r"rows/[0-9]{4}/([0-9]{8})-([0-9a-f]{64})\.gz", re.ASCII)
BEGIN = re.compile(rb"COPY public\.([a-z_]+) \(([a-z0-9_, ]+)\) FROM stdin;\n")
PIECE = 1 << 20


class RowsDamaged(CallStashError):
    """A file with rows of a backup is missing or damaged."""


@dataclass(frozen=True)
class RowFile:
    """A file with the rows of a day."""

    day: date
    sha256: str

    @property
    def name(self) -> str:
        """Return where it lies at a target."""
        return f"{DIRECTORY}/{self.day:%Y}/{self.day:%Y%m%d}-{self.sha256}.gz"


def named(name: str) -> RowFile | None:
    """Return what a name at a target means; None: it is none of ours."""
    found = NAME.fullmatch(name)
    try:
        made = RowFile(date.fromisoformat(found[1]), found[2]) if found else None
    except ValueError:
        return None
    return made if made and made.name == name else None


def listed(catalogue: Path) -> list[RowFile]:
    """Return the files that a catalogue lists. Raises RowsDamaged."""
    files = []
    for line in (catalogue / LIST).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        file = named(name)
        if file is None or file.sha256 != digest:
            raise RowsDamaged(f"{LIST} has a line that is none of ours")
        files.append(file)
    return files


def is_whole(path: Path, file: RowFile) -> bool:
    """Is a file there, and is it what its name says?"""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def lines(path: Path, table: str) -> Iterator[tuple[list[str], bytes]]:
    """Yield the rows of a table with the names of their columns. Raises RowsDamaged."""
    columns: list[str] | None = None
    with gzip.open(path) as opened:
        for line in opened:
            if columns is None:
                name, columns = _begin(line)
            elif line == END:
                columns = None
            elif name == table:
                yield columns, line


def load(db: Connection, path: Path) -> None:
    """Copy the rows of a file into empty tables. Raises RowsDamaged."""
    with gzip.open(path) as opened, db.cursor() as cursor:
        for begin in opened:
            name, columns = _begin(begin)
            with cursor.copy(f"COPY public.{name} ({', '.join(columns)}) FROM STDIN") as copy:
                for line in opened:
                    if line == END:
                        break
                    copy.write(line)
                else:
                    raise RowsDamaged(f"{path.name} is cut")


def _begin(line: bytes) -> tuple[str, list[str]]:
    found = BEGIN.fullmatch(line)
    if found is None or found[1].decode() not in TABLES:
        raise RowsDamaged("a file with rows has a line that is none of ours")
    return found[1].decode(), found[2].decode().split(", ")
