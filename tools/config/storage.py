"""The job that takes drives for the recordings: `python3 -m tools.config.storage DRIVE...`

One drive, or three for a RAID 5. What lies in /var/lib/callstash is copied while everything runs,
then once more while nothing does; fstab is changed last. A power cut before that leaves the machine
on what it had, one after it on the new drive, which then has everything.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from common import files
from common.errors import ConfigError
from tools.config import disks
from tools.config.disks import DATA, LABEL, MEMBERS, UNFINISHED
from tools.config.job import RUN

FSTAB = Path("/etc/fstab")
MDADM = Path("/etc/mdadm/mdadm.conf")
NEW = RUN / "new"
# All that rsync can carry over; lost+found belongs to the file system.
COPY = ("rsync", "-aHAX", "--numeric-ids", "--one-file-system", "--delete", "--exclude=/lost+found")
DONE = "The recordings lie on the new drive."


def main(devices: list[str]) -> int:
    """Take the drives; 0 means that the recordings lie there."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and bring back what ran
    try:
        take(devices)
    except ConfigError as error:
        print(error)
        return 1
    print(DONE)
    return 0


def take(devices: list[str]) -> None:
    """Format the drives, bring the data there, and have it mounted. Raises ConfigError."""
    if len(devices) not in (1, MEMBERS):
        raise ConfigError(f"Take one drive, or {MEMBERS} for a RAID 5.")
    _alone()
    fit(devices)
    device = devices[0] if len(devices) == 1 else _array(devices)
    _say(f"Formatting {device}")
    _run("mkfs.ext4", "-q", "-m", "1", "-L", UNFINISHED, device)
    uuid = _run("blkid", "-p", "-s", "UUID", "-o", "value", device).strip()
    _copy_all(device)
    with _stopped():
        with _mounted(device):
            _say("Copying what changed since")
            _run(*COPY, f"{DATA}/", NEW)
        with _mounted(device):
            left = _run(*COPY, "--dry-run", "--itemize-changes", f"{DATA}/", NEW)
            if left:
                raise ConfigError(f"The copy differs, and nothing was changed: {left[:300]}")
        _run("e2label", device, LABEL)
        _switch(device, uuid)


def fit(devices: list[str]) -> None:
    """Raise ConfigError unless all drives may still be taken, by what is on them now."""
    known = {disk.path: disk for disk in disks.read()}
    for device in devices:
        if device not in known:
            raise ConfigError(f"{device} is not there any more.")
        if refused := known[device].refused:
            raise ConfigError(f"{device} {refused}.")
        shown = _run("wipefs", "--no-act", "--noheadings", "--output=TYPE,LABEL", device).split()
        if shown and (shown != ["ext4", UNFINISHED]):
            raise ConfigError(f"{device} is not empty: it holds {' '.join(shown)}.")


def _alone() -> None:
    """Refuse where something else is at work with the data or mounted among them."""
    upgrade = _run("systemctl", "show", "--property=ActiveState", "--value", "callstash-upgrade")
    if upgrade.strip() in ("active", "activating"):
        raise ConfigError("CallStash is being upgraded: wait until that is over.")
    shown = _run("findmnt", "--noheadings", "--list", "--output=TARGET").splitlines()
    below = [place for place in shown if place.startswith(f"{DATA}/")]
    if below:
        raise ConfigError(
            f"Something is mounted at {below[0]}: unmount it first, and mount it again afterwards."
        )


def _array(devices: list[str]) -> str:
    """Make a RAID 5 of three drives and return its device.

    Forced, it has all three from the start and works its parity out. Without, mdadm would begin
    with two and rebuild the third, and not start such an array after a power cut meanwhile. With
    its partial parity log it starts even if it loses power and a disk together.
    """
    _say(f"Making a RAID 5 of {', '.join(devices)}")
    name = "/dev/md/callstash"
    _run(
        "mdadm", "--create", name, "--run", "--force", "--level=5", "--consistency-policy=ppl",
        f"--raid-devices={len(devices)}", "--name=callstash", "--homehost=any", *devices,
    )  # fmt: skip
    _run("udevadm", "settle")
    line = _run("mdadm", "--detail", "--brief", name).strip()
    text = MDADM.read_text(encoding="utf-8") if MDADM.exists() else ""
    files.replace(MDADM, f"{text.rstrip()}\n{line}\n")
    _say("Having the machine assemble it at each start")
    _run("update-initramfs", "-u")
    return str(Path(name).resolve())


def _copy_all(device: str) -> None:
    """Copy while everything runs, and read all of it back from the drive."""
    with _mounted(device):
        _say("Copying")
        _run(*COPY, f"{DATA}/", NEW, accept=(0, 24))  # 24: files that expired meanwhile
    with _mounted(device):  # anew: what is read comes from the drive, not from memory
        _say("Comparing")
        _run(*COPY, "--checksum", f"{DATA}/", NEW, accept=(0, 24))


@contextmanager
def _mounted(device: str) -> Iterator[None]:
    NEW.mkdir(parents=True, exist_ok=True)
    _run("mount", device, NEW)
    try:
        yield
    finally:
        _run("umount", NEW)


@contextmanager
def _stopped() -> Iterator[None]:
    """Stop whatever of CallStash runs, and start it again at the end."""
    parts = _run("systemctl", "show", "--property=ConsistsOf", "--value", "callstash.target")
    shown = _run("systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating",
                 "callstash.target", *parts.split())  # fmt: skip
    running = [line.split()[0] for line in shown.splitlines()]
    try:
        if running:
            _say("Stopping CallStash")
            _run("systemctl", "stop", *running)
        yield
    finally:
        if running:
            _say("Starting CallStash")
            _run("systemctl", "start", "--no-block", *running)


def fstab(text: str, uuid: str) -> str:
    """Return /etc/fstab with a file system for the data, in the place of the one before.

    With nofail a machine whose drive is lost still starts and can be reached; CallStash's units
    need the mount and don't start without it.
    """
    kept = [line for line in text.splitlines() if line.split()[1:2] != [str(DATA)]]
    return "\n".join([*kept, f"UUID={uuid} {DATA} ext4 defaults,nofail 0 2"]) + "\n"


def _switch(device: str, uuid: str) -> None:
    """Have the new file system mounted in the place of the data. However it fails, or is ended by
    a signal, the data are where they were. Raises ConfigError.
    """
    before = FSTAB.read_text(encoding="utf-8")
    was_mount, aside = DATA.is_mount(), _aside()
    if was_mount:
        _run("umount", DATA)
    try:
        files.replace(FSTAB, fstab(before, uuid))
        _run("systemctl", "daemon-reload")
        if not was_mount:
            mode = DATA.stat().st_mode & 0o7777
            DATA.rename(aside)
            DATA.mkdir(mode)
            files.sync_directory(DATA.parent)  # else a power cut hides them below the mount
        _run("mount", DATA)
        found = _run("findmnt", "--noheadings", "--output=UUID", "--mountpoint", DATA).strip()
        if found != uuid:
            raise ConfigError(f"Another file system is mounted at {DATA}.")
    except BaseException as error:
        _back(before, aside if not was_mount else None)
        with suppress(ConfigError):  # where the drive still answers, it may be taken again
            _run("e2label", device, UNFINISHED)
        if isinstance(error, ConfigError | OSError):
            raise ConfigError(f"{error} Everything is as it was before.") from error
        raise
    if not was_mount:
        _say(f"The data before the change lie in {aside}. Delete them when all is well.")


def _aside() -> Path:
    return DATA.with_name(f"{DATA.name}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def _back(before: str, aside: Path | None) -> None:
    """Undo a switch that failed. The data are in their place before fstab says so."""
    if DATA.is_mount():
        _run("umount", DATA)
    if aside is not None and aside.exists():
        if DATA.exists():
            DATA.rmdir()
        aside.rename(DATA)
        files.sync_directory(DATA.parent)
    files.replace(FSTAB, before)
    _run("systemctl", "daemon-reload")
    if aside is None:
        _run("mount", DATA)


def _say(sentence: str) -> None:
    print(f"{sentence} ...", flush=True)


def _run(*command: str | Path, accept: tuple[int, ...] = (0,)) -> str:
    try:
        done = subprocess.run(
            list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(f"{command[0]} can't be run: {error.strerror}.") from error
    if done.returncode not in accept:
        said = " ".join((done.stderr or done.stdout).split())[-400:]
        raise ConfigError(f"{command[0]} failed: {said}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
