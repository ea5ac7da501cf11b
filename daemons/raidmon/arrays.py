"""The arrays as the kernel shows them under /sys/block/md*/md (Documentation/admin-guide/md.rst).

What counts is which disks are in sync: `array_state` may say clean with two of three disks gone.
"""

from dataclasses import dataclass
from pathlib import Path

from daemons.raidmon import mdstat

SPARE_DISKS = {"raid4": 1, "raid5": 1, "raid6": 2}  # that a level can do without


@dataclass(frozen=True)
class Member:
    """A disk of an array; `slot` is its place, None: none. A slot without a disk has no name."""

    disk: str
    slot: int | None
    is_ok: bool
    is_removable: bool
    role: str


@dataclass(frozen=True)
class Array:
    """An array: `disks` is how many it should have, `degraded` how many of those it lacks."""

    uuid: str
    name: str
    level: str
    state: str
    disks: int
    degraded: int
    is_read_only: bool
    action: str | None
    percent: float | None
    minutes_left: float | None
    members: tuple[Member, ...]


def read(block: Path, mdstat_file: Path) -> list[Array]:
    """Return the arrays under /sys/block, an empty list where there are none."""
    progress = mdstat.parse(_text(mdstat_file))
    found = []
    for path in sorted(block.glob("md*/md")):
        name = path.parent.name
        if _text(path / "array_state") not in ("", "clear"):
            found.append(_array(path, name, progress.get(name)))
    return found


def _array(path: Path, name: str, progress: mdstat.Progress | None) -> Array:
    disks, level = _number(path / "raid_disks"), _text(path / "level")
    array_state = _text(path / "array_state")
    present = [_member(one) for one in sorted(path.glob("dev-*"))]
    good = sum(one.role == "in use" for one in present)
    lacking = max(0, disks - good) if disks else 0
    action = _text(path / "sync_action")
    if action in ("", "idle", "frozen"):
        action = progress.action if progress else ""
    is_rebuilding = action in ("recover", "reshape")
    members = [
        Member(m.disk, m.slot, True, False, "rebuilding")
        if is_rebuilding and m.role == "spare" and m.slot is not None
        else m
        for m in present
    ]
    slots = {one.slot for one in members if one.slot is not None}
    members += [
        Member("", slot, False, False, "missing") for slot in range(disks) if slot not in slots
    ]
    members.sort(key=lambda m: (m.slot is None, m.slot or 0, m.role == "faulty", m.disk))
    return Array(
        uuid=_text(path / "uuid") or name,
        name=name,
        level=level or "unknown",
        state=_state(array_state, level, disks, lacking),
        disks=disks or len(present),
        degraded=lacking,
        is_read_only=array_state == "readonly",
        action=action or None,
        percent=progress.percent if progress and action else None,
        minutes_left=progress.minutes if progress and action else None,
        members=tuple(members),
    )


def _state(array_state: str, level: str, disks: int, lacking: int) -> str:
    if array_state == "inactive" or not disks:
        return "inactive"
    spare = disks - 1 if level in ("raid1", "raid10") else SPARE_DISKS.get(level, 0)
    if array_state == "broken" or lacking > spare:
        return "failed"
    return "degraded" if lacking else "clean"


def _member(path: Path) -> Member:
    name, slot = path.name.removeprefix("dev-"), _text(path / "slot")
    states = set(_text(path / "state").split(","))
    place = int(slot) if slot.isascii() and slot.isdigit() else None
    if "faulty" in states or not states - {""}:
        return Member(name, place, False, True, "faulty")
    if "in_sync" in states:
        is_ok = not states & {"want_replacement", "write_error"}
        return Member(name, place, is_ok, False, "in use")
    return Member(name, place, True, False, "spare")


def _text(path: Path) -> str:
    """Return what a file says; nothing where it went away or says nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    first = _text(path).split(" ")[0]
    return int(first) if first.isascii() and first.isdigit() else 0
