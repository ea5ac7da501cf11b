"""The upgrade of CallStash, which goes on in a unit of its own: this only asks for it and looks."""

import json
import subprocess
import sys
from typing import Any

from common.errors import ConfigError
from tools.config.job import ROOT
from tools.config.screen import Back, Screen

TITLE = "Request software upgrade"
SECONDS = 120
TOOL = (sys.executable, "-m", "tools", "upgrade")


def page(screen: Screen, leave: str) -> None:
    """Say whether there is a newer release, and have it installed. Raises Back, ConfigError."""
    screen.wait(TITLE, "Looking for a newer release ...")
    found = _check()
    installed, available = found["installed"], found["available"]
    if available is None or not found["allowed"]:
        newer = f", and {available} is there" if available else ""
        why = found["reason"] or "There is no newer release."
        screen.tell(TITLE, f"CallStash {installed or '(no package)'} is installed{newer}.\n\n{why}")
        raise Back
    if not screen.ask(
        TITLE,
        f"CallStash {installed} is installed, and {available} is there.\n\nShall it be installed"
        " now? The web UI is away for some minutes; calls are fetched afterwards.",
        "Upgrade", leave,
    ):  # fmt: skip
        raise Back
    source = subprocess.Popen(
        [*TOOL, "start", "--follow"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    screen.log(TITLE, "This goes on if you leave.", source)


def _check() -> dict[str, Any]:
    try:
        done = subprocess.run(
            [*TOOL, "check", "--json"], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            "The server with the releases doesn't answer: try again later."
        ) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ConfigError(f"It can't be told whether there is a newer release: {said}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
