"""The time zone in which a daemon keeps its times of day."""

from pathlib import Path
from zoneinfo import ZoneInfo


def zone(name: str) -> ZoneInfo:
    """Return a zone by its IANA name, this machine's where it has none."""
    if name:
        return ZoneInfo(name)
    with Path("/etc/localtime").open("rb") as file:
        return ZoneInfo.from_file(file, key="localtime")
