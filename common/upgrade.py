"""Upgrades as they are asked for and as they stand: small files that need no database.

Who asks only writes `wanted`, which starts callstash-upgrade.service through its path unit; what
that does and did stands in DIRECTORY, where only root writes and everybody may look.
"""

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from common import files
from common.errors import ConfigError

DIRECTORY = Path("/var/lib/callstash/upgrade")
REQUESTS = Path("/run/callstash/upgrade")
CHECK, START = "check", "start"
DONE, FAILED, BROKEN, REFUSED = "done", "failed", "broken", "refused"
LONGEST = 256 << 10  # bytes of a log that are shown
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What is wanted, CHECK or START, and by whom."""

    id: str
    do: str
    by: str


@dataclass(frozen=True)
class Checked:
    """What the repository offered: `available` is newer than `installed`; `error` is a sentence."""

    at: str
    installed: str | None
    available: str | None
    error: str | None


@dataclass(frozen=True)
class Run:
    """An upgrade that is over; `outcome` is DONE, FAILED (the version before runs again), BROKEN
    (it does not) or REFUSED (nothing was begun).
    """

    id: str
    by: str
    before: str | None
    after: str | None
    started_at: str
    finished_at: str
    outcome: str
    text: str


def new_id(now: datetime) -> str:
    """Return a name for an upgrade; names of later ones sort behind."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def ask(do: str, by: str, now: datetime) -> Request | None:
    """Ask for a check or an upgrade; None where an upgrade, or this, is asked for already.

    Raises ConfigError where nothing takes requests.
    """
    request, known = Request(new_id(now), do, by), asked()
    if known and do in (known.do, CHECK):
        return None
    part = REQUESTS / f".part-{request.id}"
    try:
        part.write_text(json.dumps(asdict(request)), encoding="utf-8")
        part.rename(REQUESTS / "wanted")
    except OSError as error:
        raise ConfigError(
            f"Upgrades can't be asked for on this machine: {REQUESTS}: {error.strerror}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return request


def wanted() -> Request | None:
    """Return what is asked for and not yet begun; None: nothing, or what nobody understands."""
    return _request("wanted")


def asked() -> Request | None:
    """Return what is asked for, also if it was begun; None as for `wanted`."""
    return wanted() or _request("taken")


def taken() -> Request | None:
    """Take what is asked for, or what was taken and not done; None as for `wanted`."""
    if not (REQUESTS / "taken").exists():
        try:
            (REQUESTS / "wanted").rename(REQUESTS / "taken")
        except FileNotFoundError:
            return None
    return _request("taken")


def drop() -> None:
    """Forget what was taken: it is done, or its state is written down."""
    (REQUESTS / "taken").unlink(missing_ok=True)


def _request(name: str) -> Request | None:
    found = read(REQUESTS / name, Request)
    return found if found and found.do in (CHECK, START) and _ID.fullmatch(found.id) else None


def checked() -> Checked | None:
    """Return what the last check found; None: there was none."""
    return read(DIRECTORY / "checked.json", Checked)


def running() -> dict[str, Any] | None:
    """Return the state of the upgrade that runs, or is to be finished; None: there is none."""
    return _document(DIRECTORY / "state.json")


def runs() -> list[Run]:
    """Return the upgrades that are over, the newest first."""
    names = sorted((DIRECTORY / "runs").glob("*.json"), reverse=True)
    return [run for run in (read(name, Run) for name in names) if run]


def log(name: str) -> str:
    """Return the end of the log of an upgrade."""
    try:
        with (DIRECTORY / "runs" / f"{name}.log").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LONGEST))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def refusal(found: Checked | None, support_until: date | None, today: date) -> str:
    """Return why no upgrade may be started now; empty: one may."""
    if support_until is None:
        return "This CallStash is not activated."
    if support_until < today:
        return f"The support contract ended on {support_until.isoformat()}: ask your vendor."
    if found is None:
        return "Nobody has looked yet whether there is a newer version."
    if found.error:
        return found.error
    if found.available is None:
        return "There is no newer version."
    return ""


def save(path: Path, document: object) -> None:
    """Write a file that is whole after a power cut, and that everybody may read."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    part.rename(path)
    files.sync_directory(path.parent)


def read(path: Path, kind: type[T]) -> T | None:
    """Return what such a file says; None where it is not there or not understood."""
    known = _document(path)
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{name: value for name, value in (known or {}).items() if name in names})
    except TypeError:
        return None


def _document(path: Path) -> dict[str, Any] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = json.loads(file.read(LONGEST))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
