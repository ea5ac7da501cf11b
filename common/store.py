"""Where recordings lie: `<root>/<company>/<yyyy>/<mm>/<dd>/<recording>.csrec`, and how they get
there.

A file appears under its final name complete and durable, or not at all. Until then it lies in the
incoming directory of the one archiver that writes it, on the same file system, so that what a crash
leaves behind is found there at once, however large the archive.
"""

import fcntl
import os
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from common import files


class Incoming:
    """A file on its way into the archive: write, sync, then `Store.place`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o640)

    def write(self, pieces: list[bytes]) -> None:
        """Append the pieces. Raises OSError."""
        files.write_all(self._descriptor, pieces)
        self.size += sum(map(len, pieces))

    def start_writeback(self) -> None:
        """Let the disk begin now, so that the later fsync finds little left to do."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Make the contents durable and close the file. Raises OSError.

        Nobody hears it soon, so the pages go back to the kernel, which reuses them while warm.
        """
        try:
            os.fsync(self._descriptor)
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def discard(self) -> None:
        """Close and remove it."""
        self.close()
        self.path.unlink(missing_ok=True)


class Fence:
    """Keeps two processes off one recording's files, each lock until `release` or its end.

    A row's lock is gone with its connection, while the process that held it may not know and work
    on. So whoever places or removes files of a recording takes both, first the row's. The locks
    are open file description locks, see fcntl(2), each on one byte of one file.
    """

    def __init__(self, root: Path) -> None:
        files.make_directories(root / ".incoming", root)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(root / ".incoming" / "lock", flags, 0o660)

    def take(self, recording: UUID) -> bool:
        """Lock a recording; false where another process has it."""
        try:
            self._lock(fcntl.F_WRLCK, recording.int & (1 << 62) - 1, 1)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go of all recordings."""
        self._lock(fcntl.F_UNLCK, 0, 0)

    def close(self) -> None:
        """Let go of all recordings, for good."""
        os.close(self._descriptor)

    def _lock(self, kind: int, start: int, length: int) -> None:
        flock = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, flock)


class Store:
    """The archive's directory tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()  # directories that this process has made durable

    def path(
        self, company: int, started_at: datetime, recording: UUID, generation: int = 0
    ) -> Path:
        """Return where a recording lies."""
        return self.root / self.name(company, started_at, recording, generation)

    @staticmethod
    def name(company: int, started_at: datetime, recording: UUID, generation: int = 0) -> str:
        """Return where a recording lies below the root; a file that replaced another has its
        generation in its name.
        """
        day = started_at.astimezone(UTC)
        more = f"-{generation}" if generation else ""
        return f"{company}/{day.year:04}/{day.month:02}/{day.day:02}/{recording}{more}.csrec"

    def belongs_to(self, box: UUID) -> bool:
        """Say whether the archive of a box is there, and not an empty directory in its place."""
        try:
            return (self.root / "archive.id").read_text(encoding="ascii").strip() == str(box)
        except (OSError, UnicodeDecodeError):
            return False

    def mark(self, box: UUID) -> None:
        """Note which box's archive this is. Raises OSError."""
        path = self.incoming(0) / "archive.id"
        path.unlink(missing_ok=True)  # a killed run may have left it
        incoming = Incoming(path)
        incoming.write([f"{box}\n".encode()])
        incoming.sync()
        incoming.path.rename(self.root / "archive.id")
        files.sync_directory(self.root)

    def open(self, path: Path) -> BinaryIO:
        """Open a stored file for reading. Raises OSError."""
        return path.open("rb", buffering=0)

    def free_bytes(self) -> int:
        """Return what an ordinary user may still write to the archive's file system."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def incoming(self, instance: int) -> Path:
        """Return the incoming directory of an archiver instance, made if missing."""
        path = self.root / ".incoming" / str(instance)
        files.make_directories(path, self.root)
        return path

    def clear_incoming(self, instance: int) -> int:
        """Remove what a killed archiver left behind and return how many files that were."""
        left = list(self.incoming(instance).iterdir())
        for path in left:
            path.unlink()
        return len(left)

    def place(self, incoming: Incoming, final: Path) -> None:
        """Rename a synced file to its place; `sync` makes that durable. Raises OSError."""
        if final.parent not in self._durable or not final.parent.is_dir():
            files.make_directories(final.parent, self.root)
            self._durable.add(final.parent)
        incoming.path.rename(final)

    def sync(self, directory: Path) -> None:
        """Make the names in a directory durable. Raises OSError."""
        files.sync_directory(directory)

    def remove(self, path: Path) -> None:
        """Remove a file and make that durable; harmless when it is gone. Raises OSError."""
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            files.sync_directory(path.parent)
