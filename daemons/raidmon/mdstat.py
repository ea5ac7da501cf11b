"""/proc/mdstat: which arrays there are, and how far a rebuild is (md(4); md_seq_show in the
kernel's drivers/md/md.c). Pure; whatever stands there, it never raises.
"""

import re
from dataclasses import dataclass

_ARRAY = re.compile(r"^(md\S*) : (active|inactive)\b")
_PROGRESS = re.compile(
    r"^\s+\[[=>.]*\]\s+(recovery|resync|check|repair|reshape)\s*=\s*(\d{1,3}(?:\.\d+)?)%"
    r"(?:.*?\bfinish=(\d{1,9}(?:\.\d+)?)min)?"
)
ACTIONS = {"recovery": "recover"}  # else as sysfs calls it


@dataclass(frozen=True)
class Progress:
    """What the kernel does with an array: `percent` done, `minutes` left where it says."""

    action: str
    percent: float
    minutes: float | None


def parse(text: str) -> dict[str, Progress | None]:
    """Return the arrays by name, each with what is done with it now."""
    found: dict[str, Progress | None] = {}
    name = ""
    for line in text.splitlines():
        if array := _ARRAY.match(line):
            name = array[1]
            found[name] = None
        elif name and (progress := _PROGRESS.match(line)):
            percent = float(progress[2])
            if percent <= 100:
                minutes = float(progress[3]) if progress[3] else None
                action = ACTIONS.get(progress[1], progress[1])
                found[name] = Progress(action, percent, minutes)
        elif not line.strip():
            name = ""
    return found
