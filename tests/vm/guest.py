"""A Debian with CallStash in it and the simulators beside it, and what tests do to it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from devtools import process
from devtools.machine import Container, Machine
from simulators.licence.vendor import Vendor
from simulators.pbx.client import KEY, STATE
from tests.vm.terminal import Terminal
from tests.waiting import until

ROOT = Path(__file__).parents[2]
WEB = "https://localhost"
CONFIG = "/etc/callstash/callstash.toml"
DAEMONS = ("poller", "archiver@1", "archiver@2", "housekeeper", "notifier", "raidmon", "backupd",
           "web")  # fmt: skip


class Guest:
    """A container or a PC. The simulators are processes of this machine, which it can reach."""

    def __init__(self, machine: Container | Machine) -> None:
        self.machine = machine
        self._directory = machine.directory
        self._simulators: list[subprocess.Popen[bytes]] = []
        self._control = ""

    def sh(self, command: str, *, stdin: str = "", check: bool = True, timeout: float = 300) -> str:
        """Run a shell command as root and return what it prints. Raises MachineFailed."""
        done = self.machine.run(
            "sh", "-c", f"cd /; {command}", stdin=stdin, check=check, timeout=timeout
        )
        return done.stdout.strip()

    def terminal(self, directory: Path, command: str, lines: int = 24) -> Terminal:
        """Open a terminal in which a shell command runs, with a directory for itself."""
        directory.mkdir(exist_ok=True)
        assert isinstance(self.machine, Container)
        enter, *rest = self.machine.inside("TERM=screen", "sh", "-c")
        # without another process between the terminal and the shell, which Ctrl-C would end
        return Terminal(directory, [enter, "--no-fork", *rest], command, lines)

    def holds(self, command: str) -> bool:
        """Say whether a shell command succeeds."""
        return not self.machine.run("sh", "-c", command, check=False).returncode

    def sql(self, query: str) -> list[str]:
        """Return the rows that a query gives, their columns with | between."""
        return self.sh("psql -XqAt -v ON_ERROR_STOP=1 callstash", stdin=query).splitlines()

    def install(self, package: Path) -> str:
        """Install a package file as a user does."""
        self.machine.put(package, "/var/tmp")
        return self.sh("DEBIAN_FRONTEND=noninteractive apt-get install --yes"
                       f" /var/tmp/{package.name} 2>&1", timeout=900)  # fmt: skip

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.sh(f"systemctl show --property={name} --value callstash-{unit}.service")

    def well(self) -> bool:
        """Do all daemons run?"""
        units = " ".join(f"callstash-{name}" for name in DAEMONS)
        states = self.sh(f"systemctl is-active {units}", check=False).split()
        return states == ["active"] * len(DAEMONS)

    def simulate(self, name: str, module: str, *arguments: str) -> str:
        """Start a simulator and return the address at which the guest finds it."""
        simulator = process.spawn(
            [*self.machine.beside, sys.executable, "-m", module, *arguments],
            log=self._directory / f"{name}.log", env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._simulators.append(simulator)
        return self._said(name, "READY")

    def _said(self, name: str, word: str) -> str:
        log = self._directory / f"{name}.log"
        until(lambda: re.search(rf"^{word} \S+\n", log.read_text(), re.MULTILINE), 120)
        found = re.search(rf"^{word} (\S+)", log.read_text(), re.MULTILINE)
        assert found
        return found[1].replace("127.0.0.1", self.machine.host)

    def close(self) -> None:
        """End the simulators."""
        process.kill([simulator.pid for simulator in self._simulators])
        for simulator in self._simulators:
            simulator.wait()

    def add_pbx(self, *companies: str) -> None:
        """Start a simulated PBX with a dozen calls, of these companies or of all that it has; add
        it and pin its certificate.
        """
        url = self.simulate("pbx", "simulators.pbx", "--state", str(STATE), "--scenario", "small",
                            "--tls")  # fmt: skip
        self._control = self._said("pbx", "CONTROL")
        if companies:
            self.pbx("companies", managed=companies)
        self.sh(f"callstash add-pbx {url} --name Office --period 30 --pin", stdin=f"{KEY}\n")

    def pbx(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Tell or ask the simulated PBX something."""
        said = self.sh(f"curl -sf --data @- {self._control}/control",
                       stdin=json.dumps({"do": do, **arguments}))  # fmt: skip
        answer: dict[str, Any] = json.loads(said)
        return answer

    def activate(self) -> None:
        """Buy a licence from the simulated vendor, and activate this CallStash with it."""
        directory = self._directory / "vendor"
        vendor = Vendor(directory)
        key, code = vendor.public_key, vendor.sell()
        url = self.simulate("licence", "simulators.licence", "--directory", str(directory), "serve")
        self.sh(f"sed -i 's|^#licence_server.*|licence_server = \"{url}\"|;"
                f"s|^#licence_key.*|licence_key = \"{key}\"|' {CONFIG}")  # fmt: skip
        self.sh("systemctl restart callstash-housekeeper")
        self.sh(f"callstash activate {code}")

    def stored(self) -> int:
        """Return how many recordings are stored and complete."""
        query = "SELECT count(*) FROM recording WHERE state = 'stored' AND next_try_at IS NULL"
        return int(self.sql(query)[0])

    def books(self) -> dict[str, list[str]]:
        """Return how these differ: what the PBX offers, the rows, the files and their contents."""
        offered = [f"{call['company']}|{call['file']}" for call in self.pbx("offered")["calls"]]
        rows = self.sql(
            "SELECT c.name, r.remote_id FROM recording r JOIN company c ON c.id = r.company_id"
            " WHERE r.state = 'stored'"
        )
        archive = "/var/lib/callstash/archive"
        files = self.sh(f"cd {archive}; find -name '*.csrec' -printf '%f\\n'").splitlines()
        names = self.sql("SELECT id || '.csrec' FROM recording WHERE state = 'stored'")
        hashes = self.sql(
            "SELECT encode(a.file_sha256, 'hex') || '  ' || r.id || '.csrec' FROM recording r"
            " JOIN recording_audio a ON a.recording_id = r.id WHERE r.state = 'stored'"
        )
        hashed = "find -name '*.csrec' -execdir sha256sum {} +"
        found = self.sh(f"cd {archive}; {hashed}").replace("  ./", "  ").splitlines()
        left = self.sh(f"find {archive}/.incoming -type f ! -name lock").splitlines()
        return {
            "not stored": sorted(set(offered) - set(rows)),
            "stored twice": sorted({row for row in rows if rows.count(row) > 1}),
            "without a file": sorted(set(names) - set(files)),
            "without a row": sorted(set(files) - set(names)),
            "altered": sorted(set(hashes) - set(found)),
            "left over": left,
        }


BALANCED: dict[str, list[str]] = {
    name: []
    for name in (
        "not stored",
        "stored twice",
        "without a file",
        "without a row",
        "altered",
        "left over",
    )
}


class Browser:
    """curl in the guest, which keeps cookies and follows nothing."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._curl = "curl -sk -c /run/jar -b /run/jar"

    def get(self, path: str) -> str:
        """Return a page."""
        return self._guest.sh(f"{self._curl} {WEB}{path}")

    def fetch(self, path: str, options: str = "") -> tuple[str, str]:
        """Return the status and the type of an answer, and the SHA-256 of its body."""
        told = "'%{http_code} %{content_type}'"
        status = self._guest.sh(f"{self._curl} {options} -o /run/body -w {told} {WEB}{path}")
        return status, self._guest.sh("sha256sum </run/body").split()[0]

    def send(self, page: str, action: str, **fields: str) -> str:
        """Send a form that stands on a page; return the status of the answer."""
        found = re.search(r'name="csrf" value="(\w+)"', self.get(page))
        pairs = {"csrf": found[1] if found else "", **fields}.items()
        data = " ".join(
            f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in pairs
        )
        return self._guest.sh(f"{self._curl} -o /dev/null -w '%{{http_code}}' {data} {WEB}{action}")

    def log_in(self, password: str) -> None:
        """Log in as sysadmin."""
        fields = {"pbx": "admin", "name": "sysadmin", "password": password}
        assert self.send("/login", "/login", **fields) == "303"
