"""A Debian in a container with the simulators beside CallStash, and what tests do to it."""

import json
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

from devtools.machine import Container
from simulators.pbx.client import KEY, STATE
from tests.vm.terminal import Terminal
from tests.waiting import until

ROOT = Path(__file__).parents[2]
WEB = "https://localhost"
CONFIG = "/etc/callstash/callstash.toml"
DAEMONS = ("poller", "archiver@1", "archiver@2", "housekeeper", "notifier", "raidmon", "backupd",
           "web")  # fmt: skip


class Guest:
    """A container in which the source tree lies where it lies outside, for the simulators."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._control = ""

    def sh(self, command: str, *, stdin: str = "", check: bool = True, timeout: float = 180) -> str:
        """Run a shell command as root and return what it prints. Raises MachineFailed."""
        done = self._container.run(
            "sh", "-c", f"cd /; {command}", stdin=stdin, check=check, timeout=timeout
        )
        return done.stdout.strip()

    def terminal(self, directory: Path, command: str, lines: int = 24) -> Terminal:
        """Open a terminal in which a shell command runs, with a directory for itself."""
        directory.mkdir(exist_ok=True)
        enter, *rest = self._container.inside("TERM=screen", "sh", "-c")
        # without another process between the terminal and the shell, which Ctrl-C would end
        return Terminal(directory, [enter, "--no-fork", *rest], command, lines)

    def holds(self, command: str) -> bool:
        """Say whether a shell command succeeds."""
        return not self._container.run("sh", "-c", command, check=False).returncode

    def sql(self, query: str) -> list[str]:
        """Return the rows that a query gives, their columns with | between."""
        return self.sh("psql -XqAt -v ON_ERROR_STOP=1 callstash", stdin=query).splitlines()

    def install(self, package: Path) -> str:
        """Install a package file as a user does."""
        return self.sh(f"DEBIAN_FRONTEND=noninteractive apt-get install --yes {package} 2>&1",
                       timeout=300)  # fmt: skip

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.sh(f"systemctl show --property={name} --value callstash-{unit}.service")

    def well(self) -> bool:
        """Do all daemons run?"""
        units = " ".join(f"callstash-{name}" for name in DAEMONS)
        return self.holds(f"systemctl is-active --quiet {units}") and all(
            self.property(name, "ActiveState") == "active" for name in DAEMONS
        )

    def simulate(self, name: str, module: str, *arguments: str) -> str:
        """Start a simulator as a unit of its own and return the address that it names."""
        self.sh(
            f"systemd-run --quiet --unit=sim-{name} --working-directory={ROOT}"
            f" python3 -m {module} {shlex.join(arguments)}"
        )
        return self._said(name, "READY")

    def _said(self, name: str, word: str) -> str:
        journal = partial(self.sh, f"journalctl --unit=sim-{name} --output=cat")
        until(lambda: word in journal(), 60)
        found = re.search(rf"^{word} (\S+)", journal(), re.MULTILINE)
        assert found
        return found[1]

    def add_pbx(self) -> None:
        """Start a simulated PBX with a dozen calls and add it."""
        url = self.simulate("pbx", "simulators.pbx", "--state", str(STATE), "--scenario", "small")
        self._control = self._said("pbx", "CONTROL")
        self.sh(f"callstash add-pbx {url} --name Office --period 30", stdin=f"{KEY}\n")

    def pbx(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Tell or ask the simulated PBX something."""
        said = self.sh(f"curl -sf --data @- {self._control}/control",
                       stdin=json.dumps({"do": do, **arguments}))  # fmt: skip
        answer: dict[str, Any] = json.loads(said)
        return answer

    def activate(self, directory: str = "/var/tmp/vendor") -> None:
        """Buy a licence from the simulated vendor, and activate this CallStash with it."""
        vendor = f"cd {ROOT}; python3 -m simulators.licence --directory {directory}"
        key, code = self.sh(f"{vendor} key"), self.sh(f"{vendor} code")
        url = self.simulate("vendor", "simulators.licence", "--directory", directory, "serve")
        self.sh(f"sed -i 's|^#licence_server.*|licence_server = \"{url}\"|;"
                f"s|^#licence_key.*|licence_key = \"{key}\"|' {CONFIG}")  # fmt: skip
        self.sh("systemctl restart callstash-housekeeper")
        self.sh(f"callstash activate {code}")

    def stored(self) -> int:
        """Return how many recordings are stored and complete."""
        query = "SELECT count(*) FROM recording WHERE state = 'stored' AND next_try_at IS NULL"
        return int(self.sql(query)[0])

    def books(self) -> dict[str, list[str]]:
        """Return what should be the same thrice: what the PBX offers, the rows, the files."""
        offered = [f"{call['company']}|{call['file']}" for call in self.pbx("offered")["calls"]]
        rows = self.sql(
            "SELECT c.name, r.remote_id FROM recording r JOIN company c ON c.id = r.company_id"
            " WHERE r.state = 'stored'"
        )
        archive = "/var/lib/callstash/archive"
        files = self.sh(f"cd {archive}; find -name '*.csrec' -printf '%f\\n'").splitlines()
        names = self.sql("SELECT id || '.csrec' FROM recording WHERE state = 'stored'")
        left = self.sh(f"find {archive}/.incoming -type f ! -name lock").splitlines()
        return {
            "not stored": sorted(set(offered) - set(rows)),
            "stored twice": sorted({row for row in rows if rows.count(row) > 1}),
            "without a file": sorted(set(names) - set(files)),
            "without a row": sorted(set(files) - set(names)),
            "left over": left,
        }


BALANCED: dict[str, list[str]] = {
    name: []
    for name in ("not stored", "stored twice", "without a file", "without a row", "left over")
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
