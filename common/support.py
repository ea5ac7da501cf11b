"""Remote support as it is asked for and as it stands: two small files that need no database.

Who asks only writes `wanted`, which starts callstash-support.service through its path unit; the
service alone writes `status`. Without `wanted` there is no tunnel, and a reboot removes it.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common.errors import ConfigError

DIRECTORY = Path("/run/callstash/support")
SILENT = timedelta(seconds=30)  # a service that has reported this long ago no longer runs


@dataclass(frozen=True)
class Request:
    """Who asked for a tunnel, and when."""

    by: str
    at: datetime


@dataclass(frozen=True)
class Status:
    """What the service does: `state` is inactive, connecting or active."""

    state: str
    text: str
    port: int | None = None
    sessions: int = 0
    until: datetime | None = None
    seen_at: datetime | None = None


def connect(directory: Path, by: str, now: datetime) -> bool:
    """Ask for a tunnel; false where one is wanted already. Raises ConfigError."""
    part = _written(directory, {"by": by, "at": now.isoformat()}, 0o640)
    try:
        os.link(part, directory / "wanted")
    except FileExistsError:
        return False
    finally:
        part.unlink()
    return True


def disconnect(directory: Path) -> bool:
    """Ask for the end of the tunnel; false where none is wanted."""
    try:
        (directory / "wanted").unlink()
    except FileNotFoundError:
        return False
    return True


def wanted(directory: Path) -> Request | None:
    """Return the request; one that can't be read counts as long over. None: there is none."""
    try:
        known = json.loads((directory / "wanted").read_bytes())
        return Request(str(known["by"]), datetime.fromisoformat(known["at"]).astimezone(UTC))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError):
        return Request("", datetime.fromtimestamp(0, UTC))


def report(directory: Path, status: Status, now: datetime) -> None:
    """Write down what the service does. Raises ConfigError."""
    known = asdict(status) | {
        "until": status.until.isoformat() if status.until else None,
        "seen_at": now.isoformat(),
    }
    _written(directory, known, 0o644).rename(directory / "status")


def status(directory: Path, now: datetime) -> Status:
    """Return what the service does, or what it should if it does not run."""
    asked = (directory / "wanted").exists()
    known = _read(directory / "status")
    try:
        times = {
            name: datetime.fromisoformat(known[name]) if known[name] else None
            for name in ("until", "seen_at")
        }
        said = Status(known["state"], known["text"], known["port"], known["sessions"], **times)
    except (KeyError, TypeError, ValueError):
        said = Status("inactive", "")
    if said.state == "inactive" and not asked:
        return said
    if said.seen_at is None or now - said.seen_at > SILENT or said.state == "inactive":
        if not asked:
            return Status("inactive", "")
        return Status("connecting", "The support service is being started.")
    return said


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _written(directory: Path, content: dict[str, object], mode: int) -> Path:
    """Write a file of any name, whole, for whoever may read in the directory."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".part-", dir=directory)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            os.fchmod(file.fileno(), mode)
    except OSError as error:
        raise ConfigError(
            f"remote support can't be asked for on this machine: {directory}: {error.strerror}"
        ) from error
    return Path(name)
