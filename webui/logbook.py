"""The last lines of a daemon's journal: of systemd's where there is one, else of its log file."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LINES, LONGEST, SECONDS = 200, 2 << 20, 5
LEVELS = {3: "error", 4: "warning", 6: "all"}
_FIELDS = ("PBX", "COMPANY", "RECORDING", "POLL")


@dataclass(frozen=True)
class Line:
    """A line: `at` is None where the log file does not say."""

    at: datetime | None
    priority: int
    text: str
    fields: dict[str, str] = field(default_factory=dict)


class Unreadable(Exception):
    """The journal can't be read; the text says why."""


def of_unit(name: str, priority: int, file: Path | None = None) -> list[Line]:
    """Return the last lines of a unit's journal, up to a priority (syslog(3)).

    `file` is read instead of the journal of this machine. Raises Unreadable.
    """
    command = ["journalctl", f"--unit=callstash-{name}.service", f"--priority={priority}"]
    command += [f"--lines={LINES}", "--output=json", "--no-pager", "--quiet"]
    command += [f"--file={file}"] if file else []
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable("journalctl does not answer") from error
    if done.returncode:
        raise Unreadable(done.stderr.decode(errors="replace").strip()[:300])
    return list(_entries(done.stdout[-LONGEST:]))


def _entries(output: bytes) -> Iterator[Line]:
    for line in output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the first one may be cut
        message = entry.get("MESSAGE")
        if isinstance(message, list):  # bytes that are no text
            message = bytes(message).decode(errors="replace")
        yield Line(
            datetime.fromtimestamp(int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6, UTC),
            int(entry.get("PRIORITY", 6)),
            str(message or ""),
            {name: str(entry[name]) for name in _FIELDS if name in entry},
        )


def of_file(path: Path, priority: int) -> list[Line]:
    """Return the last lines of a log file as common.journal writes it. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LONGEST))
            texts = file.read().decode(errors="replace").splitlines()
    except OSError as error:
        raise Unreadable(f"there is no log: {error.strerror}") from error
    levels = {"error": 3, "critical": 2, "warning": 4}
    lines = [Line(None, levels.get(text.partition(":")[0], 6), text) for text in texts]
    return [line for line in lines if line.priority <= priority][-LINES:]
