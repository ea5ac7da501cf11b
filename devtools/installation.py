"""One CallStash of real processes in a directory: database, archive, credentials, daemons.

Used by the demo, the drills and the benchmarks, so that all of them run what users run. Every
process gets only the credentials that its unit would get.
"""

import base64
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from devtools.process import spawn

ROOT = Path(__file__).parents[1]
CREDENTIALS: dict[str, tuple[str, ...]] = {
    "poller": ("pbx.key",),
    "archiver": ("pbx.key",),
    "housekeeper": (),
    "notifier": ("mail.key",),
    "raidmon": (),
    "backupd": ("backup.key", "backup_ssh"),
    "metrics": (),
    "web": ("master.key", "sign.key"),
}
CONFIG = """\
[common]
database = "{dsn}"
broker = "{broker}"
archive = "{archive}"
exports = "{directory}/exports"

[tools]
owner = "postgres"

[web]
log_directory = "{directory}"
"""


@dataclass
class Installation:
    """`dsn` names an existing database, without a user; `settings` is further TOML."""

    directory: Path
    dsn: str
    broker: str
    archive: Path
    settings: str = ""
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        credentials = self.directory / "credentials"
        for path in (self.archive, credentials / "all"):
            path.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            CONFIG.format(
                dsn=self.dsn,
                broker=self.broker,
                archive=self.archive,
                directory=self.directory,
            )
            + self.settings
        )
        self.tool("migrate")
        self.tool("init", "--credentials", str(credentials / "all"))
        self.hand_out()

    def hand_out(self) -> None:
        """Give each process the credentials that it may have."""
        credentials = self.directory / "credentials"
        for process, names in CREDENTIALS.items():
            (credentials / process).mkdir(exist_ok=True)
            for name in names:
                shutil.copy2(credentials / "all" / name, credentials / process)

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "callstash.toml"

    @property
    def master(self) -> bytes:
        """The private half of the master key."""
        return base64.b64decode((self.directory / "credentials/all/master.key").read_text())

    def environment(self, process: str) -> dict[str, str]:
        """Return the environment in which `process` runs."""
        return {
            **os.environ,
            "CALLSTASH_CONFIG": str(self.config),
            "CREDENTIALS_DIRECTORY": str(self.directory / "credentials" / process),
            "PYTHONPATH": str(ROOT),
        }

    def tool(self, *arguments: str, stdin: str = "") -> str:
        """Run `callstash ARGUMENTS` and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "tools", *arguments],
            env=self.environment("all"),
            cwd=ROOT,
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ToolFailed(f"callstash {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the database as its owner, in autocommit mode."""
        return psycopg.connect(self.dsn, user="postgres", autocommit=True)

    def start(self, name: str, *command: str) -> None:
        """Start a daemon, such as `poller` or `archiver@2`, or `command` as the process `name`."""
        process, _, instance = name.partition("@")
        module = [sys.executable, "-m", f"daemons.{process}", *filter(None, [instance])]
        self.commands[name] = command
        self.daemons[name] = spawn(
            command or module, log=self.directory / f"{name}.log", env=self.environment(process)
        )

    def start_web(self, address: str) -> None:
        """Start the web UI on `address`, such as `127.0.0.1:8080`."""
        settings = ("-c", "python:webui.serving", "--bind", address)
        self.start("web", sys.executable, "-m", "gunicorn", *settings, "webui:create_app()")

    def tend(self) -> list[str]:
        """Start again what ended, as systemd does, and return what that was.

        Raises ToolFailed where a daemon says that a person must act (status 78).
        """
        ended = [name for name, process in self.daemons.items() if process.poll() is not None]
        for name in ended:
            if self.daemons[name].returncode == 78:
                raise ToolFailed(f"{name}: {self.log(name).strip().splitlines()[-1]}")
            self.deaths[name] += 1
            self.start(name, *self.commands[name])
        return ended

    def kill(self, name: str) -> None:
        """Kill a daemon with SIGKILL."""
        self.daemons[name].kill()
        self.daemons[name].wait()

    def stop(self, timeout: float = 30) -> dict[str, int]:
        """Ask every daemon to stop, wait for it, and return their exit statuses."""
        for process in self.daemons.values():
            process.send_signal(signal.SIGTERM)
        statuses = {}
        for name, process in self.daemons.items():
            try:
                statuses[name] = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                statuses[name] = process.wait()
        self.daemons.clear()
        return statuses

    def log(self, name: str) -> str:
        """Return what a daemon has logged."""
        return (self.directory / f"{name}.log").read_text(errors="replace")


class ToolFailed(Exception):
    """A console tool or a daemon says what is wrong."""
