"""A target is tried before it is saved, and recognised before each run.

It carries a file with the identity of its box: a directory with other things in it, or another
box's, is never written to.
"""

import json
import os
import secrets
from pathlib import Path
from uuid import UUID, uuid4

from daemons.backupd.target import BackupFailed, Reached

IDENTITY = "callstash-target.json"
OURS = {IDENTITY, "recordings", "catalogue", "rows"}
TOLERATED = (".", "@", "#", "lost+found")  # what file systems and NAS put everywhere


def listed(at: Reached, path: str = "") -> set[str]:
    """Return the names in a directory at the target. Raises BackupFailed."""
    lines = at.rsync("--list-only", "--dirs", at.place(path)).splitlines()
    return {line.split(None, 4)[4] for line in lines if line.count(" ") >= 4} - {"."}


def identity(at: Reached, box: UUID) -> UUID | None:
    """Return which target of this box this is; None: an empty directory. Raises BackupFailed."""
    names = listed(at)
    if IDENTITY in names:
        copy = at.directory / IDENTITY
        at.rsync(f"{at.place()}{IDENTITY}", str(copy))
        try:
            said = json.loads(copy.read_text(encoding="utf-8"))
            owner, target = UUID(said["box"]), UUID(said["target"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise BackupFailed(f"{IDENTITY} in that directory can't be read.") from error
        if owner != box:
            raise BackupFailed("That directory has the backups of another CallStash.")
        return target
    others = {name for name in names - OURS if not name.startswith(TOLERATED)}
    if others or names & OURS:
        found = sorted(others or names)[0]
        raise BackupFailed(
            f"That directory has other things in it, such as {found}: name an empty one."
        )
    return None


def tried(at: Reached, box: UUID) -> UUID:
    """Write, read back and delete a file, and return the identity of the target, a new one where
    it had none. Raises BackupFailed.
    """
    known = identity(at, box)
    name, content = f".callstash-test-{secrets.token_hex(8)}", secrets.token_bytes(4096)
    sent, back = at.directory / name, at.directory / "back"
    sent.write_bytes(content)
    at.rsync(str(sent), at.place())
    at.rsync(f"{at.place()}{name}", str(back))
    if back.read_bytes() != content:
        raise BackupFailed("What was written there is not what was read back.")
    remove(at, "", name)
    if name in listed(at):
        raise BackupFailed("What was written there can't be deleted again.")
    if known is not None:
        return known
    new = uuid4()
    (at.directory / IDENTITY).write_text(json.dumps({"box": str(box), "target": str(new)}) + "\n")
    at.rsync(str(at.directory / IDENTITY), at.place())
    return new


def remove(at: Reached, path: str, name: str) -> None:
    """Delete one file or directory in a directory at the target. Raises BackupFailed."""
    empty = at.directory / "empty"
    empty.mkdir(exist_ok=True)
    at.rsync(
        "--recursive", "--delete", f"--include=/{name}", f"--include=/{name}/***", "--exclude=*",
        f"{empty}/", at.place(path), seconds=40,
    )  # fmt: skip


def require_mount(directory: Path) -> None:
    """Raise BackupFailed where no volume is mounted."""
    if not os.path.ismount(directory):  # noqa: PTH121
        raise BackupFailed(f"No volume is mounted at {directory}.")
