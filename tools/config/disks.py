"""Which drives can hold the recordings, and for each other one why it can't. Pure, but for `read`.

Only what is empty is offered: whatever has partitions or any other content is refused, since it may
be somebody's only copy.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path("/var/lib/callstash")
SMALLEST = 50 * 10**9  # bytes
LABEL = "callstash"
UNFINISHED = "callstash-new"  # the label of a file system until it is in use
MEMBERS = 3
COLUMNS = "NAME,PATH,TYPE,SIZE,MODEL,SERIAL,RO,FSTYPE,LABEL,PTTYPE,MOUNTPOINTS"
CONTENTS = {
    "linux_raid_member": "belongs to a RAID array",
    "LVM2_member": "is used by LVM",
    "crypto_LUKS": "holds an encrypted volume",
    "swap": "is used as swap space",
    "zfs_member": "belongs to a ZFS pool",
}


@dataclass(frozen=True)
class Disk:
    """A drive or an array, and why it can't be taken."""

    path: str
    size: int
    model: str
    array: bool
    refused: str | None

    @property
    def words(self) -> str:
        """Return size and model."""
        return f"{size(self.size)}  {self.model}".strip()


def size(count: int) -> str:
    """Return a number of bytes as it is printed on drives."""
    for unit, bytes_ in (("TB", 10**12), ("GB", 10**9)):
        if count >= bytes_:
            number = count / bytes_
            return f"{number:.1f} {unit}" if unit == "TB" else f"{number:.0f} {unit}"
    return f"{count / 10**6:.0f} MB"


def disks(tree: Sequence[dict[str, Any]]) -> list[Disk]:
    """Return the drives and arrays that `lsblk --json` shows, each once."""
    found: dict[str, Disk] = {}
    for device in _all(tree):
        kind, count = str(device["type"]), int(device["size"] or 0)
        array = kind.startswith("raid")
        if (kind == "disk" or array) and count and device["path"] not in found:
            model = "RAID array" if array else " ".join(_names(device)) or "unknown model"
            path = str(device["path"])
            found[path] = Disk(path, count, model, array, _refusal(device, count))
    return list(found.values())


def _names(device: dict[str, Any]) -> Iterator[str]:
    for column in ("model", "serial"):
        if device.get(column):
            yield str(device[column]).strip()


def _all(tree: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for device in tree:
        yield device
        yield from _all(device.get("children", ()))


def _refusal(device: dict[str, Any], count: int) -> str | None:
    everything = list(_all([device]))
    mounted = [place for one in everything for place in one.get("mountpoints", ()) if place]
    where = f" (in use: {', '.join(sorted(set(mounted)))})" if mounted else ""
    below = everything[1:]
    if str(DATA) in mounted and not below:
        return "holds CallStash's recordings now"
    if device.get("fstype") == "linux_raid_member" or any(
        str(one["type"]).startswith("raid") for one in below if device["type"] == "disk"
    ):
        return CONTENTS["linux_raid_member"]
    if device.get("pttype") or any(one["type"] == "part" for one in below):
        return f"has partitions{where}"
    if mounted:
        return f"is in use: {', '.join(sorted(set(mounted)))}"
    content = device.get("fstype")
    if content and not (content == "ext4" and device.get("label") == UNFINISHED):
        return CONTENTS.get(content, f"holds data ({content}); see 'man wipefs' to empty it")
    if below:
        return f"is used by {below[0]['path']}"
    if device.get("ro"):
        return "can only be read"
    if count < SMALLEST:
        return f"is too small: {size(SMALLEST)} are needed"
    return None


def read() -> list[Disk]:
    """Return the drives and arrays of this machine."""
    command = ["lsblk", "--json", "--bytes", f"--output={COLUMNS}"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60
    )
    return disks(json.loads(done.stdout)["blockdevices"])
