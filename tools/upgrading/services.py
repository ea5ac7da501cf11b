"""The services of CallStash during an upgrade: stopped, started, and looked at whether they run."""

import http.client
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from tools.upgrading.command import Failed, run

STEADY = 15.0  # seconds that a service has run for when it has come up
LONGEST = 300.0  # seconds until all have
RESTARTS = 3  # after which one does not come up
PAUSE = 0.5
TARGET = "callstash.target"
ONCE = ("callstash-setup.service", "callstash-migrate.service", "callstash-upgrade.service",
        "callstash-rewrap.service")  # fmt: skip


@dataclass(frozen=True)
class Before:
    """How it was: services that ran and that should have, and whether the web server answered."""

    active: list[str]
    missing: list[str]
    answers: bool


def before() -> Before:
    """Return how it is now. Raises Failed."""
    running = run("systemctl", "list-units", "--plain", "--no-legend", "--state=active")
    names = {line.split()[0] for line in running.splitlines() if line.strip()}
    active = [name for name in _parts() if _counts(name) and name in names]
    return Before(active, sorted(set(_wanted()) - set(active)), answers())


def _parts() -> list[str]:
    """Return the units that stop with the target: not what runs this, nor remote support."""
    return run("systemctl", "show", "--property=ConsistsOf", "--value", TARGET).split()


def _counts(name: str) -> bool:
    return name.endswith(".service") and name not in ONCE


def _wanted() -> list[str]:
    found = run("systemctl", "show", "--property=Wants", "--value", TARGET).split()
    return [name for name in found if _counts(name)]


def _are_queued() -> bool:
    """Say whether any of them is about to be started or stopped."""
    jobs = run("systemctl", "list-jobs", "--no-legend").splitlines()
    ours = {TARGET, ONCE[0], *_parts()}
    return any(ours & set(line.split()) for line in jobs)


def are_moving() -> bool:
    """Say whether callstash-config is moving the recordings to another drive."""
    job = "config-callstash-disks.service"
    return run("systemctl", "show", "--property=SubState", "--value", job).strip() == "running"


def stop() -> None:
    """Stop all services but the one that does this, and remote support. Raises Failed."""
    run("systemctl", "stop", TARGET, ONCE[0], *_parts())


def start() -> None:
    """Have all services started, as they are installed now. Raises Failed."""
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", "callstash*")
    run("systemctl", "--no-block", "restart", TARGET)
    run("systemctl", "try-reload-or-restart", "nginx.service")


def trouble(was: Before) -> str | None:
    """Return why it has not come up as it was, None as soon as it has. Raises Failed.

    A service that can't come up any more is found at once, others are waited for.
    """
    deadline = time.monotonic() + LONGEST
    restarts: dict[str, int] = {}
    while True:
        is_early = _are_queued()
        waiting, lost = _look(was, restarts)
        if is_early:  # what was found may be how it was before
            waiting, lost = "not all services are started", ""
        if lost:
            return lost
        if not waiting and was.answers and not answers():
            waiting = "the web server does not serve the web UI"
        if not waiting:
            return None
        if time.monotonic() > deadline:
            return f"after {LONGEST / 60:.0f} minutes {waiting}"
        time.sleep(PAUSE)


def _look(was: Before, restarts: dict[str, int]) -> tuple[str, str]:
    """Return what is to be waited for, and what will not come.

    `restarts` keeps how often each was restarted before: systemd goes on counting over a stop.
    """
    waiting = ""
    names = sorted((set(_wanted()) | set(was.active)) - set(was.missing))
    for name in (*ONCE[:2], *names):
        known = dict(
            line.split("=", 1)
            for line in run(
                "systemctl", "show", name, "--property=LoadState,ActiveState,SubState,NRestarts,"
                "ActiveEnterTimestampMonotonic,ExecMainStatus,Result",
            ).splitlines()
        )  # fmt: skip
        if known["LoadState"] == "not-found":  # the other version does not have it
            continue
        state, count = known["ActiveState"], int(known["NRestarts"])
        restarts[name] = min(count, restarts.get(name, count))
        if state == "failed" or count - restarts[name] >= RESTARTS:
            status = known["ExecMainStatus"]
            reason = f"{known['Result']}, status {status}"
            return "", f"the service {_plain(name)} does not run ({reason}): {_last(name)}"
        since = float(known["ActiveEnterTimestampMonotonic"]) / 1e6
        if name in ONCE:
            if state == "activating":
                waiting = f"the service {_plain(name)} has not ended"
        elif state != "active":
            waiting = f"the service {_plain(name)} does not run"
        elif time.monotonic() - since < STEADY:
            waiting = f"the service {_plain(name)} has only just begun"
    return waiting, ""


def _plain(name: str) -> str:
    return name.removesuffix(".service")


def _last(name: str) -> str:
    """Return the last line that a service itself wrote into the journal."""
    command = ("journalctl", f"_SYSTEMD_UNIT={name}", "--lines=1", "--output=cat", "--quiet")
    try:
        lines = run(*command).splitlines()
    except Failed:
        lines = []
    return lines[-1].strip()[:300] if lines else "it says nothing"


def answers() -> bool:
    """Say whether the web server of this machine serves the web UI over https."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it may be self-signed
    connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=10, context=context)
    try:
        connection.request("GET", "/login")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Hold:
    """A file with which no boot starts the services: what is installed may be half of two versions.

    callstash-setup and callstash-migrate, which all others require, refuse to start with it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self) -> None:
        """Keep services from being started."""
        self._file.touch()
        run("sync", self._file, self._file.parent)

    def release(self) -> None:
        """Let services be started."""
        self._file.unlink(missing_ok=True)
        run("sync", self._file.parent)
