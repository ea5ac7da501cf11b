"""What the housekeeper prepares for an export and the web UI sends, in a directory of its own.

`calls.csv`, `manifest.json` and the tools are files of the archive that is sent. `members` tells of
each recording what its place in the archive needs: so any range of it can be sent without looking
at the rest. `head.json`, written last, tells the same of the files. The recordings stay where they
are.
"""

import json
import mmap
import struct
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from common import leaving_tools

DIRECTORY = Path("/var/lib/callstash/exports")
DAYS = 7  # that an export can be fetched
TABLE, MANIFEST, MEMBERS, HEAD = "calls.csv", "manifest.json", "members", "head.json"
FILES = (MANIFEST, TABLE, *leaving_tools.NAMES)
LARGEST = 0xFFFFFFFF - 1  # bytes of a recording that the archive can take

_MEMBER = struct.Struct("<16siHIQQ")


@dataclass(frozen=True)
class Member:
    """A recording in the archive; `offset` counts the bytes of the recordings before it."""

    recording: UUID
    day: date
    generation: int
    crc: int
    size: int
    offset: int

    def packed(self) -> bytes:
        """Return it as it lies in the file."""
        return _MEMBER.pack(
            self.recording.bytes, self.day.toordinal(), self.generation, self.crc, self.size,
            self.offset,
        )  # fmt: skip

    @property
    def started_at(self) -> datetime:
        """Return an instant of its day."""
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    @property
    def name(self) -> str:
        """Return where it lies in the archive, in 64 characters."""
        return f"recordings/{self.day.year:04}/{self.day:%m/%d}/{self.recording}.csrec"


class Members:
    """The recordings of an export, in their order."""

    def __init__(self, directory: Path) -> None:
        with (directory / MEMBERS).open("rb") as file:
            size = file.seek(0, 2)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""

    def __len__(self) -> int:
        return len(self._map) // _MEMBER.size

    def __getitem__(self, number: int) -> Member:
        if not 0 <= number < len(self):
            raise IndexError(number)
        uid, day, *numbers = _MEMBER.unpack_from(self._map, number * _MEMBER.size)
        return Member(UUID(bytes=uid), date.fromordinal(day), *numbers)


def members_length(calls: int) -> int:
    """Return the length of the file `members` with so many recordings."""
    return calls * _MEMBER.size


@dataclass(frozen=True)
class File:
    """A file beside the recordings."""

    name: str
    size: int
    crc: int


def head_of(found: list[File]) -> bytes:
    """Return what `head` reads."""
    return json.dumps([asdict(one) for one in found]).encode()


def head(directory: Path) -> list[File]:
    """Return what the files are. Raises OSError where the export is not there any more."""
    text = (directory / HEAD).read_text(encoding="ascii")
    return [File(**one) for one in json.loads(text)]
