"""Writing an export: files, table, tools, and last the signed manifest.

A file stands under its name only when it is whole. Whoever runs the same export again goes on: what
is there is read and compared, not copied. Without a manifest an export is not finished.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common import files, leaving, leaving_tools, tables
from common.db import Connection
from common.errors import ArchiveError, CallStashError, ConfigError, KeyUnavailable
from common.ffmpeg import DecoderFailed
from common.leaving import Call, Company, Signer, Wanted
from common.queries import leaving as queries
from tools.contents import Content, Encrypted

RESERVE = 100_000_000  # bytes that stay free
WRITERS = 2  # files written at the same time: while one is hashed another is written
AHEAD = 8  # files that may be done before the line of an earlier one is written
Say = Callable[[str], None]


@dataclass(frozen=True)
class Written:
    """A call that is in the directory: its line in the table, the key that opens it, its bytes."""

    line: str
    kid: str
    size: int


class Export:
    """One export into one directory."""

    def __init__(
        self, db: Connection, company: Company, wanted: Wanted, directory: Path, content: Content
    ) -> None:
        self._db = db
        self._company = company
        self._wanted = wanted
        self._directory = directory
        self._content = content
        self._left_out: list[dict[str, str]] = []
        self._kids: set[str] = set()
        self.calls = self.bytes = 0

    def run(self, signer: Signer, say: Say) -> int:
        """Write everything and return how many calls had to be left out. Raises ConfigError."""
        self._begin()
        total = queries.total(self._db, self._company.id, self._wanted)
        self._room(self._content.size(total))
        table = self._directory / "calls.csv.part"
        with table.open("w", encoding="utf-8", newline="") as out:
            out.write(tables.lines([leaving.COLUMNS]))
            for number, line in enumerate(self._lines(), 1):
                out.write(line)
                if number % 1000 == 0:
                    say(f"{number:,} of {total.calls:,} calls, {self.bytes / 1e9:,.1f} GB")
        table.rename(self._directory / "calls.csv")
        self._finish(signer)
        return len(self._left_out)

    def _begin(self) -> None:
        """Note what this directory is for; another export's is refused."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = self._directory / ".export.json"
        if not note.exists() and any(
            path.name != ".export.json.part" for path in self._directory.iterdir()
        ):
            raise ConfigError(f"{self._directory} is not empty: name a new directory")
        asked = self._asked()
        if note.exists() and json.loads(note.read_text(encoding="utf-8")) != asked:
            raise ConfigError(f"{self._directory} holds another export: name a new directory")
        self._put(".export.json", json.dumps(asked).encode())
        (self._directory / "manifest.json").unlink(missing_ok=True)
        (self._directory / "manifest.sig").unlink(missing_ok=True)

    def _asked(self) -> dict[str, str | None]:
        asked = leaving.asked(self._company, self._content.kind, self._wanted)
        return asked | self._content.asked

    def _room(self, size: int) -> None:
        """See that all of it fits, counting what an earlier run has written."""
        there = sum(
            path.stat().st_size for path in self._directory.rglob(f"*{self._content.suffix}")
        )
        status = os.statvfs(self._directory)
        free = status.f_bavail * status.f_frsize
        if size - there + RESERVE > free:
            raise ConfigError(
                f"{self._directory} has room for {free / 1e9:,.1f} GB, and this export needs"
                f" {(size - there + RESERVE) / 1e9:,.1f} GB: name a directory on a larger disk"
            )

    def _lines(self) -> Iterator[str]:
        with ThreadPoolExecutor(WRITERS) as pool:
            begun: deque[tuple[Call, Future[Written]]] = deque()
            for one in queries.calls(self._db, self._company.id, self._wanted):
                begun.append((one, pool.submit(self._one, one)))
                if len(begun) > AHEAD:
                    yield from self._line(*begun.popleft())
            while begun:
                yield from self._line(*begun.popleft())

    def _line(self, one: Call, work: Future[Written]) -> Iterator[str]:
        """Yield the line of a call whose file is written, and none where it had to be left out."""
        try:
            yield self._count(work.result())
        except ArchiveError:
            now = queries.call(self._db, one.recording_id)
            if now is None:
                return  # it was deleted meanwhile
            try:
                yield self._count(self._one(now))  # or it was fetched again, under another name
            except ArchiveError as error:
                self._leave_out(one, error)
        except (KeyUnavailable, DecoderFailed) as error:
            self._leave_out(one, error)

    def _count(self, written: Written) -> str:
        self._kids.add(written.kid)
        self.calls += 1
        self.bytes += written.size
        return written.line

    def _leave_out(self, one: Call, error: CallStashError) -> None:
        self._left_out.append({"call": str(one.recording_id), "why": str(error)})

    def _one(self, one: Call) -> Written:
        """Write one call; several of these run at the same time."""
        name = leaving.file_name(one, self._content.suffix)
        kid, ecek = self._content.key(one)
        path = self._directory / name
        digest, size = self._there(path, one) or self._write(path, one)
        return Written(leaving.line(one, name, kid, ecek, digest, size), kid, size)

    def _there(self, path: Path, one: Call) -> tuple[bytes, int] | None:
        """Return the SHA-256 and size of what an earlier run wrote, if that is right."""
        if self._content.suffix != Encrypted.suffix or not path.exists():
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        return (digest, one.file_size) if digest == one.file_sha256 else None

    def _write(self, path: Path, one: Call) -> tuple[bytes, int]:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            digest = self._content.write(one, descriptor)
            size = os.lseek(descriptor, 0, os.SEEK_CUR)
        except (OSError, CallStashError):
            part.unlink()
            raise
        finally:
            os.close(descriptor)
        part.rename(path)
        return digest, size

    def _put(self, name: str, content: bytes) -> None:
        part = self._directory / f"{name}.part"
        part.write_bytes(content)
        part.rename(self._directory / name)

    def _finish(self, signer: Signer) -> None:
        """Write the tools; once everything is durable, the manifest."""
        names = leaving_tools.NAMES if self._content.kind == "encrypted" else ()
        for name in names:
            self._put(name, leaving_tools.read(name))
        self._put("signer.pem", signer.pem)
        os.sync()
        content = leaving.manifest(
            queries.box(self._db), self._company, self._asked(), calls=self.calls,
            bytes=self.bytes, key_ids=sorted(self._kids - {""}), left_out=self._left_out,
            sha256={name: self._digest(name) for name in ["calls.csv", *names]},
        )  # fmt: skip
        self._put("manifest.sig", signer.sign(content))
        self._put("manifest.json", content)
        os.sync()
        files.sync_directory(self._directory)

    def _digest(self, name: str) -> str:
        with (self._directory / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
