"""Files that are there after a power cut: write, fsync the file, rename, fsync the directory.

A failed fsync is final: the kernel has dropped the pages, so the same descriptor is never asked
again.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def directory(path: Path) -> Iterator[int]:
    """Open a directory, to work in it by names alone; yields its descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    with directory(path) as descriptor:
        os.fsync(descriptor)


def make_directories(path: Path, root: Path, mode: int = 0o770) -> None:
    """Create `path` below `root`, every level durable, also one that a crash left unsynced.

    The archivers and the housekeeper, each with a user of its own, write in one another's.
    """
    level = root
    for name in path.relative_to(root).parts:
        (level / name).mkdir(mode, exist_ok=True)
        sync_directory(level)
        level = level / name


def write_all(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write all pieces, however little the kernel takes at a time."""
    total = sum(map(len, pieces))
    written = os.writev(descriptor, pieces)
    if written < total:
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def replace(path: Path, text: str) -> None:
    """Write a text file anew, whole or not at all, with the mode that it had."""
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            os.fchmod(descriptor, mode)
            out.write(text)
            out.flush()
            os.fsync(descriptor)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
