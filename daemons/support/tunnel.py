"""One `ssh -N -R`: what it says becomes a port, a count of sessions, and a reason why it ended."""

import os
import re
import select
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?", re.ASCII)
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}", re.ASCII)
TARGET = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}", re.ASCII)
SECONDS = 15  # to connect, and between questions whether the server is still there
LONGEST = 4096  # of a line

_ALLOTTED = re.compile(r"Allocated port (\d+) for remote forward to ")
_OPENED = re.compile(r"debug1: channel (\d+): new forwarded-tcpip ")
_FREED = re.compile(r"debug1: channel (\d+): free: ")
_REASONS = (
    ("could not resolve hostname", "There is no server with the name {host}."),
    ("connection refused", "{host} refuses connections on port {port}."),
    ("no route to host", "{host} can't be reached: there is no route to it."),
    ("network is unreachable", "{host} can't be reached: there is no route to it."),
    ("timed out", "{host} does not answer on port {port}."),
    (
        "host key verification failed",
        "{host} shows another key than the one in callstash.toml: somebody may be in between.",
    ),
    ("permission denied", "{host} does not let this CallStash in: send it the public key."),
    ("remote port forwarding failed", "{host} allows no tunnel."),
)


@dataclass(frozen=True)
class Server:
    """The support server, and what of this machine it reaches through the tunnel."""

    host: str
    port: int
    user: str
    host_key: str
    target: str

    def check(self) -> None:
        """Refuse what would mean something else to ssh. Raises ConfigError."""
        for name, pattern, value in (
            ("server", HOST, self.host),
            ("user", USER, self.user),
            ("host_key", HOST_KEY, self.host_key),
            ("target", TARGET, self.target),
        ):
            if not pattern.fullmatch(value):
                raise ConfigError(f"[support] '{name}' can't be '{value}': see callstash.toml")


class Tunnel:
    """A running ssh. `port` is the one that the server allotted; None before it did."""

    def __init__(self, server: Server, key: Path) -> None:
        self._server = server
        self._rest = b""
        self._last = ""
        self._reason: str | None = None
        self._open: set[str] = set()
        self.port: int | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="callstash-support-"))
        (self._directory / "known_hosts").write_text(f"callstash-support {server.host_key}\n")
        options = {
            "BatchMode": "yes", "ConnectTimeout": SECONDS, "ExitOnForwardFailure": "yes",
            "ForwardAgent": "no", "GlobalKnownHostsFile": "none",
            "HostKeyAlias": "callstash-support", "IdentitiesOnly": "yes",
            "IdentityFile": key, "ServerAliveCountMax": 3, "ServerAliveInterval": SECONDS,
            "StrictHostKeyChecking": "yes", "UpdateHostKeys": "no",
            "UserKnownHostsFile": self._directory / "known_hosts",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [
                "ssh", "-v", "-F", "none", "-N", "-T", "-R", f"0:{server.target}",
                "-p", str(server.port), "-l", server.user,
                *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
                "--", server.host,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
        )  # fmt: skip
        assert self._process.stderr is not None
        self._said = self._process.stderr.fileno()
        os.set_blocking(self._said, False)

    @property
    def sessions(self) -> int:
        """Return how many connections are open through the tunnel."""
        return len(self._open)

    def turn(self, seconds: float) -> bool:
        """Read what ssh says for at most `seconds`; false when it has ended."""
        if select.select([self._said], [], [], seconds)[0]:
            try:
                read = os.read(self._said, 65536)
            except BlockingIOError:
                return True
            if not read:
                self._process.wait()
                return False
            *lines, rest = (self._rest + read).split(b"\n")
            self._rest = rest[-LONGEST:]
            for line in lines:
                self._heard(line.decode("utf-8", "replace").rstrip("\r"))
        return True

    def _heard(self, line: str) -> None:
        if found := _ALLOTTED.match(line):
            self.port = int(found[1])
        elif found := _OPENED.match(line):
            self._open.add(found[1])
        elif found := _FREED.match(line):
            self._open.discard(found[1])
        elif line and not line.startswith(("debug", "Authenticated to ", "OpenSSH_")):
            self._last = line[:200]
            for mark, reason in _REASONS:
                if mark in line.casefold() and self._reason is None:
                    self._reason = reason

    @property
    def reason(self) -> str:
        """Return why it ended, in words for an administrator."""
        if self._reason is not None:
            return self._reason.format(host=self._server.host, port=self._server.port)
        return f"The connection ended: {self._last or 'ssh says nothing'}"

    def close(self) -> None:
        """End it, with all sessions."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        shutil.rmtree(self._directory, ignore_errors=True)
