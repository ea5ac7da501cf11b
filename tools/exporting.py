"""Writing an export: files, table, tools, and last the signed manifest.

A file stands under its name only when it is whole. Whoever runs the same export again goes on: what
is there is read and compared, not copied. Without a manifest an export is not finished.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from common import __version__, files, keys, leaving, leaving_tools, tables
from common.db import Connection
from common.errors import ArchiveError, CallStashError, ConfigError, KeyUnavailable
from common.ffmpeg import DecoderFailed
from common.leaving import Call, Company, Signer, Total, Wanted
from common.playback import KeyRing, open_recording
from common.queries import leaving as queries
from common.store import Store

BLOCK = 1 << 18
RESERVE = 100_000_000  # bytes that stay free
Say = Callable[[str], None]


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


class Encrypted:
    """The files as they lie; where `public` is given, their keys are wrapped for it instead."""

    kind = "encrypted"
    suffix = ".csrec"

    def __init__(self, store: Store, ring: KeyRing | None = None, public: bytes = b"") -> None:
        self._store = store
        self._ring = ring
        self._public = public
        self._buffer = memoryview(bytearray(BLOCK))  # one for all: fresh memory costs more than SHA
        self.asked = {"to_key": keys.key_id(public)} if public else {}

    def size(self, total: Total) -> int:
        """Return the bytes of the files as they lie."""
        return total.encrypted

    def write(self, one: Call, out: int) -> bytes:
        """Copy the file; one that is not what was stored is refused."""
        path = self._store.path(one.company_id, one.started_at, one.recording_id, one.generation)
        digest = hashlib.sha256()
        with self._store.open(path) as file:
            while count := os.readv(file.fileno(), [self._buffer]):
                digest.update(self._buffer[:count])
                files.write_all(out, [self._buffer[:count]])
        if digest.digest() != one.file_sha256:
            raise ArchiveError("the file is not what was stored")
        return one.file_sha256

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
            for piece in source.read_range(0, source.size):
                digest.update(piece)
                files.write_all(out, [piece])
        return digest.digest()

    def key(self, one: Call) -> tuple[str, bytes]:
        """Return none: there is nothing to open."""
        return "", b""


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
        self._made: set[Path] = set()
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
        since, until = self._wanted.since, self._wanted.until
        return {
            "company": str(self._company.uid), "content": self._content.kind,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "text": self._wanted.text, **self._content.asked,
        }  # fmt: skip

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
        for one in queries.calls(self._db, self._company.id, self._wanted):
            try:
                yield self._one(one)
            except (FileNotFoundError, ArchiveError):
                now = queries.call(self._db, one.recording_id)
                if now is None:
                    continue  # it was deleted meanwhile
                try:
                    yield self._one(now)  # or it was fetched again, under another name
                except (FileNotFoundError, ArchiveError) as error:
                    self._leave_out(one, error)
            except (KeyUnavailable, DecoderFailed) as error:
                self._leave_out(one, error)

    def _leave_out(self, one: Call, error: Exception) -> None:
        why = str(error) if isinstance(error, CallStashError) else "the file is missing"
        self._left_out.append({"call": str(one.recording_id), "why": why})

    def _one(self, one: Call) -> str:
        day = one.started_at.astimezone(UTC)
        suffix = self._content.suffix
        name = f"recordings/{day:%Y/%m/%d}/{one.recording_id}{suffix}"
        kid, ecek = self._content.key(one)
        path = self._directory / name
        digest, size = self._there(path, one) or self._write(path, one)
        self._kids.add(kid)
        self.calls += 1
        self.bytes += size
        return leaving.line(one, name, kid, ecek, digest, size)

    def _there(self, path: Path, one: Call) -> tuple[bytes, int] | None:
        """Return the SHA-256 and size of what an earlier run wrote, if that is right."""
        if self._content.suffix != Encrypted.suffix or not path.exists():
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        return (digest, one.file_size) if digest == one.file_sha256 else None

    def _write(self, path: Path, one: Call) -> tuple[bytes, int]:
        if path.parent not in self._made:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made.add(path.parent)
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
        manifest = {
            "format": "callstash-export/1", "made_at": datetime.now(UTC).isoformat(),
            "made_by": f"CallStash {__version__}", "box": str(queries.box(self._db)),
            "company": {"id": str(self._company.uid), "name": self._company.name,
                        "label": self._company.label, "pbx": self._company.url},
            "asked": self._asked(), "calls": self.calls, "bytes": self.bytes,
            "key_ids": sorted(self._kids - {""}), "left_out": self._left_out,
            "sha256": {name: self._digest(name) for name in ["calls.csv", *names]},
        }  # fmt: skip
        content = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=True).encode()
        self._put("manifest.sig", signer.sign(content))
        self._put("manifest.json", content)
        os.sync()
        files.sync_directory(self._directory)

    def _digest(self, name: str) -> str:
        with (self._directory / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
