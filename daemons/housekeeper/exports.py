"""Exports for the web UI: the calls are listed and their files read, compared and counted in the
background, until the archive that the web UI sends is known to the byte.

No private key is needed, and none is here. Killed at any point, it goes on after the last call that
was noted.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from common import commands, exports, files, leaving, leaving_tools, mail, tables
from common.daemon import Life
from common.db import Connection
from common.errors import ArchiveError
from common.exports import File, Member
from common.leaving import Call, Wanted
from common.queries import leaving as calls
from common.store import Store
from daemons.housekeeper.queries import exports as queries
from daemons.housekeeper.queries.exports import Export

log = logging.getLogger(__name__)

MAKE, CANCEL = "export.make", "export.cancel"
LOCAL_HEADER = 94  # bytes before each recording in the archive
PAGE = 200
BURST = 64 << 20  # bytes in a turn
PIECE = 1 << 20
LINE = 1000  # bytes that a call takes here, at most
RESERVE = 500_000_000  # bytes that stay free
LOOK = timedelta(minutes=1)  # between two looks for what is over


class Exports:
    """Prepares one export after the other."""

    def __init__(
        self, db: Connection, store: Store, directory: Path, now: Callable[[], datetime],
        is_there: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._db = db
        self._store = store
        self._directory = directory
        self._now = now
        self._is_there = is_there
        self._looked: datetime | None = None

    def turn(self, life: Life) -> bool:
        """Answer commands, prepare a piece, and remove what is over; say whether there is more."""
        for command in commands.waiting(self._db, "housekeeper"):
            if command.kind in (MAKE, CANCEL):
                do = self._make if command.kind == MAKE else self._cancel
                with self._db.transaction():
                    done, said = do(command.arguments, command.asked_by)
                    commands.answer(self._db, command.id, done, said)
        self._clear()
        one = queries.next_one(self._db)
        if one is None or not self._is_there():
            return False
        life.doing("preparing an export")
        try:
            self._prepare(one, life)
        except OSError as error:
            log.error("an export can't be prepared: %s", error, extra={"company": one.company_id})
            why = f"{self._directory}: {error.strerror}. Put that right and begin again."
            queries.end(self._db, one.id, "failed", self._now(), why)
            self._remove(str(one.id))
        return True

    def _make(self, asked: dict[str, Any], by: str) -> tuple[bool, str]:
        since, until = (asked[name] and datetime.fromisoformat(asked[name])
                        for name in ("since", "until"))  # fmt: skip
        company_id, wanted = int(asked["company"]), Wanted(since, until, asked["part"] or None)
        if not queries.company_is_there(self._db, company_id):
            return False, "This company is deleted."
        state = queries.same(self._db, company_id, wanted)
        if state is not None:
            words = "is ready" if state == "ready" else "is being prepared"
            return False, f"An export of these calls {words} already."
        total = calls.total(self._db, company_id, wanted)
        if not total.calls:
            return False, "There are no such calls."
        free = self._free()
        if free < total.calls * LINE + RESERVE:
            return False, (
                f"The disk of {self._directory} has {free / 1e9:,.1f} GB left, and the table of"
                f" {total.calls:,} calls needs {(total.calls * LINE + RESERVE) / 1e9:,.1f} GB."
            )
        export = queries.begin(self._db, company_id, wanted, by, total.calls)
        self._note(by, "company.export", company_id, content="encrypted, by the web UI",
                   export=str(export), calls=total.calls, **asked)  # fmt: skip
        return True, f"An export of {total.calls:,} calls is being prepared."

    def _cancel(self, asked: dict[str, Any], by: str) -> tuple[bool, str]:
        export = UUID(asked["export"])
        if not queries.end(self._db, export, "cancelled", self._now()):
            return False, "This export is over already."
        self._note(by, "export.cancel", int(asked["company"]), export=str(export))
        self._looked = None  # its files go now
        return True, "The export is deleted."

    def _note(self, by: str, action: str, company_id: int, **detail: object) -> None:
        said = json.dumps({name: value for name, value in detail.items() if value})
        calls.audit(self._db, by, action, f"company:{company_id}", said)

    def _free(self) -> int:
        status = os.statvfs(next(path for path in (self._directory, *self._directory.parents)
                                 if path.exists()))  # fmt: skip
        return status.f_bavail * status.f_frsize

    def _clear(self) -> None:
        """Remove the files of exports that are over, and what a killed run left."""
        now = self._now()
        if self._looked is not None and timedelta(0) <= now - self._looked < LOOK:
            return
        self._looked = now
        for export in queries.over(self._db, now - timedelta(days=exports.DAYS)):
            queries.end(self._db, export, "expired", now)
        if self._directory.exists():
            kept = queries.kept(self._db)
            for path in self._directory.iterdir():
                if path.name not in kept and _is_export(path):
                    self._remove(path.name)

    def _remove(self, name: str) -> None:
        shutil.rmtree(self._directory / name, ignore_errors=True)  # what stays is tried again

    def _prepare(self, one: Export, life: Life) -> None:
        """List the next calls; when there are no more, finish."""
        directory = self._directory / str(one.id)
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        after = None
        if one.after_start is not None and one.after_id is not None:
            after = one.after_start, one.after_id
        found = calls.page(self._db, one.company_id, one.wanted, after, PAGE, keyless=True)
        known = {name: getattr(one, name) for name in ("calls", "bytes", "table_bytes")}
        known |= {"key_ids": set(one.key_ids), "left_out": list(one.left_out)}
        with _opened(directory / exports.TABLE, one.table_bytes) as table, _opened(
            directory / exports.MEMBERS, exports.members_length(one.calls)
        ) as members:  # fmt: skip
            if not one.table_bytes:
                table.write(tables.lines([leaving.COLUMNS]).encode())
            read = 0
            for call in found:
                read += self._list(call, known, table, members)
                known |= {"after_start": call.started_at, "after_id": call.recording_id}
                if read >= BURST:
                    break
            known |= {"table_bytes": table.tell(), "key_ids": sorted(known["key_ids"])}
            for file in (table, members):
                file.flush()
                os.fsync(file.fileno())
        if found:
            queries.advance(self._db, one, known)
        else:
            self._finish(one, directory, life)

    def _list(self, call: Call, known: dict[str, Any], table: BinaryIO, members: BinaryIO) -> int:
        """Read the file of a call and write what is to be known of it; return its bytes."""
        try:
            crc = self._read(call)
        except ArchiveError as first:
            now = calls.call(self._db, call.recording_id, keyless=True)
            if now is None:
                return 0  # it was deleted meanwhile
            try:
                crc, call = self._read(now), now  # or it was fetched again, under another name
            except ArchiveError:
                known["left_out"].append({"call": str(call.recording_id), "why": str(first)})
                return 0
        line = leaving.line(
            call, leaving.file_name(call), call.kid, call.ecek, call.file_sha256, call.file_size
        )
        day = call.started_at.astimezone(UTC).date()
        offset = known["bytes"] + LOCAL_HEADER * known["calls"]
        member = Member(call.recording_id, day, call.generation, crc, call.file_size, offset)
        table.write(line.encode())
        members.write(member.packed())
        known["calls"] += 1
        known["bytes"] += call.file_size
        known["key_ids"].add(call.kid)
        return call.file_size

    def _read(self, call: Call) -> int:
        """Return the CRC-32 of a file that is what was stored. Raises ArchiveError."""
        path = self._store.path(
            call.company_id, call.started_at, call.recording_id, call.generation
        )
        digest, crc = hashlib.sha256(), 0
        if call.file_size > exports.LARGEST:
            raise ArchiveError("it is too large for this form: export it on the console")
        try:
            with self._store.open(path) as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                    crc = zlib.crc32(piece, crc)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise ArchiveError(f"its file can't be read: {error.strerror}") from error
        if digest.digest() != call.file_sha256:
            raise ArchiveError("the file is not what was stored")
        return crc

    def _finish(self, one: Export, directory: Path, life: Life) -> None:
        """Write the tools, the manifest and what the files are; then the export is ready."""
        company = calls.company_of(self._db, one.company_id)
        for name in leaving_tools.NAMES:
            _write(directory / name, leaving_tools.read(name))
        sums = {name: _summed(directory / name, life)
                for name in (exports.TABLE, *leaving_tools.NAMES)}  # fmt: skip
        manifest = leaving.manifest(
            calls.box(self._db), company, leaving.asked(company, "encrypted", one.wanted),
            calls=one.calls, bytes=one.bytes, key_ids=sorted(one.key_ids), left_out=one.left_out,
            sha256={name: digest for name, (digest, _) in sums.items()},
        )  # fmt: skip
        _write(directory / exports.MANIFEST, manifest)
        sums[exports.MANIFEST] = "", File(exports.MANIFEST, len(manifest), zlib.crc32(manifest))
        _write(directory / exports.HEAD, exports.head_of([sums[name][1] for name in exports.FILES]))
        files.sync_directory(directory)
        now = self._now()
        until = now + timedelta(days=exports.DAYS)
        with self._db.transaction():
            if not queries.end(self._db, one.id, "ready", now):
                return  # it was cancelled
            self._note("housekeeper", "company.exported", one.company_id, export=str(one.id),
                       calls=one.calls, left_out=len(one.left_out))  # fmt: skip
            for address in queries.recipients(self._db):
                said = [
                    f"The export of {one.calls:,} calls of {company.label} that {one.asked_by}"
                    f" asked for is ready. It can be fetched until {until:%d %b %Y, %H:%M} UTC, on"
                    " the page of the company, under Export.",
                ]
                if one.left_out:
                    said.append(f"{len(one.left_out):,} calls are not in it: the page says why.")
                title = f"The export of {company.label} is ready"
                mail.put(self._db, "export", address, title, said, until)
        log.info("an export is ready", extra={"company": one.company_id, "calls": one.calls})


def _opened(path: Path, length: int) -> BinaryIO:
    """Open a file to write on after `length` bytes; what a killed run wrote beyond is dropped."""
    file = _created(path)
    if file.seek(0, os.SEEK_END) < length:
        file.close()
        raise FileNotFoundError(errno.ENOENT, "what was prepared is gone")
    file.truncate(length)
    file.seek(length)
    return file


def _is_export(path: Path) -> bool:
    """Say whether this can only be an export: who configures a wrong directory loses nothing."""
    try:
        name = str(UUID(path.name))
    except ValueError:
        return False
    known = {*exports.FILES, exports.MEMBERS, exports.HEAD}
    return name == path.name and path.is_dir() and {one.name for one in path.iterdir()} <= known


def _created(path: Path) -> BinaryIO:
    """Open a file that the web UI may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640), "wb")


def _write(path: Path, content: bytes) -> None:
    with _created(path) as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _summed(path: Path, life: Life) -> tuple[str, File]:
    """Return the SHA-256 of a file, and its length and CRC-32."""
    digest, crc, size = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            life.alive()
    return digest.hexdigest(), File(path.name, size, crc)
