"""Which drive holds the recordings."""

import shutil
import subprocess

from tools.config import disks
from tools.config.disks import DATA, MEMBERS, SMALLEST, Disk, size
from tools.config.job import Job
from tools.config.screen import Back, Screen

TITLE = "Configure Disks"


def page(screen: Screen, leave: str) -> None:
    """Offer the drives that are empty, and take one or three. Raises Back, ConfigError."""
    job = Job("disks")
    if job.running:
        return follow(screen, job)
    while True:
        found = disks.read()
        offered = [disk for disk in found if disk.refused is None]
        if not offered:
            screen.tell(TITLE, f"{_now()}\n\nNo drive can be taken for recordings. It must be"
                               f" empty, without partitions, and have at least {size(SMALLEST)}."
                               f"\n\n{_refused(found)}")  # fmt: skip
            raise Back
        try:
            chosen = _choose(screen, found, offered, leave)
        except _Again:
            continue
        if _sure(screen, chosen):
            job.start("tools.config.storage", *(disk.path for disk in chosen))
            return follow(screen, job)


class _Again(Exception):
    """Somebody left a page below the list."""


def _choose(screen: Screen, found: list[Disk], offered: list[Disk], leave: str) -> list[Disk]:
    items = [f"{disk.path}  {disk.words}" for disk in offered]
    drives = [disk for disk in offered if not disk.array]
    raid = len(drives) >= MEMBERS and shutil.which("mdadm") is not None
    if raid:
        items.append(f"RAID 5 over {MEMBERS} of these drives: one of them may fail")
    if len(offered) < len(found):
        items.append("The other drives, and why they can't be taken")
    number = screen.menu(TITLE, f"{_now()}\n\nWhere shall they be kept?", items, back=leave)
    if number < len(offered):
        return [offered[number]]
    if raid and number == len(offered):
        return _three(screen, drives)
    screen.tell(TITLE, _refused(found))
    raise _Again


def _three(screen: Screen, drives: list[Disk]) -> list[Disk]:
    if len(drives) == MEMBERS:
        return drives
    while True:
        try:
            ticked = screen.tick(
                TITLE, f"Which {MEMBERS} drives? The space bar marks one. Each counts only as much"
                " as the smallest.", [f"{disk.path}  {disk.words}" for disk in drives],
            )  # fmt: skip
        except Back:
            raise _Again from None
        if len(ticked) == MEMBERS:
            return [drives[number] for number in ticked]
        screen.tell(TITLE, f"Mark {MEMBERS} drives: {len(ticked)} are marked.")


def _sure(screen: Screen, chosen: list[Disk]) -> bool:
    room = min(disk.size for disk in chosen) * max(1, len(chosen) - 1)
    what = "these drives" if len(chosen) > 1 else "this drive"
    listed = "\n".join(f"  {disk.path}  {disk.words}" for disk in chosen)
    return screen.ask(
        TITLE,
        f"Everything on {what} is erased:\n\n{listed}\n\nThere will be room for {size(room)}."
        " What CallStash has stored is moved there and checked; CallStash stops for the last part"
        " of that. If this is broken off, everything stays where it is now.",
        "Format", "Back", careful=True,
    )  # fmt: skip


def follow(screen: Screen, job: Job, title: str = TITLE) -> None:
    """Show what a job prints, until it ends."""
    process = job.process
    until = [f"--pid={process}"] if process else ["--pid=2147483647"]  # nobody: only what is there
    command = ["tail", "--lines=+1", "--follow", "--sleep-interval=0.2", *until, str(job.log)]
    source = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    screen.log(title, "This goes on if you leave; come back to see how far it is.", source)


def _now() -> str:
    """Say where the recordings lie now."""
    usage = shutil.disk_usage(DATA)
    on = "a drive of their own" if DATA.is_mount() else "the system's drive"
    return f"Recordings lie on {on}, with {size(usage.free)} of {size(usage.total)} free."


def _refused(found: list[Disk]) -> str:
    lines = [f"  {disk.path}  {disk.words}\n    {disk.refused}" for disk in found if disk.refused]
    return "\n".join(["Not taken:", *lines]) if lines else "There is no other drive."
