"""Reading back: recordings are fetched from the target and compared with what was stored."""

import hashlib
import os
import shutil
from collections.abc import Generator, Sequence

from common.store import Store
from daemons.backupd.child import Work
from daemons.backupd.queries import Sampled
from daemons.backupd.target import BackupFailed, Reached, words

PARTIAL = 23  # rsync's status where some files could not be copied


def read_back(at: Reached, children: Work, files: Sequence[Sampled]) -> Generator[None, None, int]:
    """Fetch files from the target; return how many are missing or not as they were stored.

    Raises BackupFailed where nothing can be fetched.
    """
    back, names = at.directory / "back", at.directory / "names"
    shutil.rmtree(back, ignore_errors=True)
    back.mkdir()
    paths = [Store.name(f.company_id, f.started_at, f.id, f.generation) for f in files]
    names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
    if files:
        status, said = yield from children.run(
            at.command("--from0", f"--files-from={names}", at.place("recordings"), f"{back}/"),
            at.environment,
        )
        if status not in (0, PARTIAL):
            raise BackupFailed(words(at.target, status, said))
    bad = 0
    for path, file in zip(paths, files, strict=True):
        try:
            with (back / path).open("rb") as copy:
                digest = hashlib.file_digest(copy, "sha256").digest()
        except OSError:
            digest = b""
        bad += digest != file.file_sha256
        yield
    shutil.rmtree(back)
    return bad
