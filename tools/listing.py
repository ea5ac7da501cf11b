"""What a catalogue lists, read from its dump without a server and without a key.

It may be ten million recordings, so it is kept in a file of SQLite, not in memory.
"""

import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from common import rowfile
from common.errors import CallStashError
from common.store import Store

SCHEMA = """
CREATE TABLE recording (id TEXT PRIMARY KEY, company INTEGER, started TEXT);
CREATE TABLE audio (
    id TEXT, generation INTEGER, sha256 BLOB, size INTEGER, version INTEGER, ecek BLOB);
CREATE TABLE deleted (name TEXT PRIMARY KEY);
CREATE TABLE found (name TEXT PRIMARY KEY, time TEXT);
CREATE TABLE listed (
    name TEXT PRIMARY KEY, id TEXT, company INTEGER, sha256 BLOB, size INTEGER, version INTEGER,
    ecek BLOB);
"""
LISTED = """
INSERT INTO listed SELECT file_name(r.company, r.started, r.id, a.generation), r.id, r.company,
    a.sha256, a.size, a.version, a.ecek FROM audio a JOIN recording r ON r.id = a.id
"""


class DumpUnreadable(CallStashError):
    """The database of a catalogue can't be read."""


@dataclass(frozen=True)
class Listed:
    """A file that a catalogue lists, and what opens it."""

    name: str
    id: UUID
    company: int
    sha256: bytes
    size: int
    version: int
    ecek: bytes


def rows(dump: Path, table: str, *columns: str) -> Iterator[tuple[str, ...]]:
    """Yield columns of a table as text, from a dump in PostgreSQL's custom format.

    Bytes are in hexadecimal. Raises DumpUnreadable.
    """
    command = ["pg_restore", "--data-only", f"--table={table}", "--file=-", str(dump)]
    wanted: list[int] | None = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for raw in process.stdout:
            line = raw.decode().rstrip("\n")
            if wanted is None:
                if line.startswith("COPY "):
                    names = line[line.index("(") + 1 : line.index(")")].split(", ")
                    wanted = [names.index(column) for column in columns]
            elif line == "\\.":
                wanted = None
            else:
                values = line.split("\t")
                yield tuple(values[index].removeprefix("\\\\x") for index in wanted)
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise DumpUnreadable(f"its database can't be read: {said[:300]}")


def _name(company: int, started: str, recording: str, generation: int) -> str:
    return Store.name(company, datetime.fromisoformat(started), UUID(recording), generation)


def _columns(path: Path, table: str, *wanted: str) -> Iterator[tuple[str, ...]]:
    for columns, line in rowfile.lines(path, table):
        values = line.decode().rstrip("\n").split("\t")
        yield tuple(values[columns.index(name)].removeprefix("\\\\x") for name in wanted)


class Listing:
    """The files that a dump lists, beside those that are found."""

    def __init__(self, dump: Path, directory: Path) -> None:
        self._db = db = sqlite3.connect(directory / "listing")
        db.executescript(f"PRAGMA synchronous = off; PRAGMA journal_mode = off; {SCHEMA}")
        db.create_function("file_name", 4, _name)
        db.executemany("INSERT INTO deleted VALUES (?)", rows(dump, "backup_delete", "path"))

    def add(self, path: Path) -> None:
        """List what is in a file with rows. Raises RowsDamaged."""
        self._db.executemany(
            "INSERT INTO recording VALUES (?, ?, ?)",
            _columns(path, "recording", "id", "company_id", "started_at"),
        )
        audio = _columns(
            path, "recording_audio", "recording_id", "generation", "file_sha256", "file_size",
            "key_version", "ecek",
        )  # fmt: skip
        self._db.executemany(
            "INSERT INTO audio VALUES (?, ?, ?, ?, ?, ?)",
            (
                (id, int(generation), bytes.fromhex(sha256), int(size), int(version),
                 bytes.fromhex(ecek))
                for id, generation, sha256, size, version, ecek in audio
            ),
        )  # fmt: skip

    def join(self) -> dict[str, int]:
        """Put together what was added; return how many recordings and bytes that is."""
        self._db.execute(LISTED)
        self._db.commit()
        query = "SELECT count(*), coalesce(sum(size), 0) FROM listed"
        recordings, size = self._db.execute(query).fetchone()
        return {"recordings": int(recordings), "bytes": int(size)}

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def find(self, files: Iterator[tuple[str, str]]) -> None:
        """Note the files that are there, each with its time."""
        self._db.executemany("INSERT OR IGNORE INTO found VALUES (?, ?)", files)
        self._db.commit()

    def missing(self) -> Iterator[str]:
        """Yield what is listed and not there."""
        query = "SELECT name FROM listed WHERE name NOT IN (SELECT name FROM found) ORDER BY name"
        for (name,) in self._db.execute(query):
            yield str(name)

    def unknown(self, before: str) -> Iterator[str]:
        """Yield what is there, was so before an instant, and is neither listed nor deleted."""
        query = (
            "SELECT name FROM found WHERE time < ? AND name NOT IN (SELECT name FROM listed)"
            " AND name NOT IN (SELECT name FROM deleted) ORDER BY name"
        )
        for (name,) in self._db.execute(query, [before]):
            yield str(name)

    def present(self) -> Iterator[Listed]:
        """Yield what is listed and there."""
        query = "SELECT l.* FROM listed l JOIN found f ON f.name = l.name ORDER BY l.name"
        for name, id, company, sha256, size, version, ecek in self._db.execute(query):
            yield Listed(name, UUID(id), company, sha256, size, version, ecek)
