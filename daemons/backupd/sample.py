"""Reading back: files are fetched from the target and compared with what was stored."""

import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Mapping

from common.store import Store
from daemons.backupd.child import Work
from daemons.backupd.queries.recordings import Sampled
from daemons.backupd.target import BackupFailed, Reached, words

PARTIAL = 23  # rsync's status where some files could not be copied


def hashes(files: Iterable[Sampled]) -> dict[str, bytes]:
    """Return the hash of each recording by its name in the archive."""
    return {
        Store.name(one.company_id, one.started_at, one.id, one.generation): one.file_sha256
        for one in files
    }


def read_back(
    at: Reached, children: Work, place: str, files: Mapping[str, bytes]
) -> Generator[None, None, list[str]]:
    """Fetch files from a directory at the target; return those that are missing or have another
    hash.

    Raises BackupFailed where nothing can be fetched.
    """
    back, names = at.directory / "back", at.directory / "names"
    shutil.rmtree(back, ignore_errors=True)
    back.mkdir()
    names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in files))
    if files:
        status, said = yield from children.run(
            at.command("--from0", f"--files-from={names}", at.place(place), f"{back}/"),
            at.environment,
        )
        if status not in (0, PARTIAL):
            raise BackupFailed(words(at.target, status, said))
    bad = []
    for path, expected in files.items():
        try:
            with (back / path).open("rb") as copy:
                digest = hashlib.file_digest(copy, "sha256").digest()
        except OSError:
            digest = b""
        if digest != expected:
            bad.append(path)
        yield
    shutil.rmtree(back)
    return bad
