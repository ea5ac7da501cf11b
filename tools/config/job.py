"""Work that needs no terminal: a transient unit of systemd, which goes on where the terminal ends.

What it prints stands in a file, which the screen shows.
"""

import subprocess
import sys
from pathlib import Path

from common.errors import ConfigError

RUN = Path("/run/callstash-config")
ROOT = Path(__file__).resolve().parents[2]


class Job:
    """One kind of work, which is done by one at a time."""

    def __init__(self, name: str) -> None:
        self.unit = f"config-callstash-{name}.service"
        self.log = RUN / f"{name}.log"

    def start(self, *arguments: str, undo: str = "") -> None:
        """Have a module of ours (the first of `arguments`) work; `undo` is a shell command that
        runs after it, however it ends. Raises ConfigError.
        """
        if self.running:
            raise ConfigError("This is still at work, for somebody at another terminal.")
        RUN.mkdir(mode=0o700, exist_ok=True)
        self.log.unlink(missing_ok=True)
        self.log.touch(mode=0o600)
        for verb in ("stop", "reset-failed"):  # of the one before, whose end we wanted to see
            _systemctl(verb, self.unit)
        after = [f"--property=ExecStopPost=/bin/sh -c '{undo}'"] if undo else []
        done = subprocess.run(
            ["systemd-run", "--quiet", f"--unit={self.unit}", "--remain-after-exit",
             f"--working-directory={ROOT}", f"--property=StandardOutput=append:{self.log}",
             f"--property=StandardError=append:{self.log}", "--setenv=PYTHONUNBUFFERED=1",
             *after, "--", sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode:
            raise ConfigError(f"The work could not be started: {done.stderr.strip()}")

    def stop(self) -> None:
        """End it; what it does at its end is done when this returns."""
        _systemctl("stop", self.unit)

    @property
    def running(self) -> bool:
        """Say whether it is at work."""
        shown = _systemctl("show", "--property=ActiveState,SubState", "--value", self.unit)
        state, _, sub = shown.strip().partition("\n")
        return state in ("activating", "deactivating", "reloading") or sub == "running"

    @property
    def process(self) -> int:
        """Return the process id of what works; 0 is none."""
        return int(_systemctl("show", "--property=MainPID", "--value", self.unit) or 0)

    @property
    def succeeded(self) -> bool:
        """Say whether the one that ended last did what it should."""
        shown = _systemctl("show", "--property=ActiveState,SubState", "--value", self.unit)
        return shown.split() == ["active", "exited"]

    def said(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


def _systemctl(*command: str) -> str:
    done = subprocess.run(
        ["systemctl", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=150,
    )  # fmt: skip
    return done.stdout
