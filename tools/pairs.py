"""Where the web UI's key and certificate lie, and how nginx gets another pair.

A pair is a directory of its own; the link `current` names the installed one and `staged` the one
that waits. Both are changed by one rename, so that a crash at any instant leaves one whole pair or
the other, never a mixture.
"""

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common import files
from common.errors import CallStashError
from tools.certificates import Pair

DIRECTORY = Path("/etc/callstash/tls")
FILES = {"certificate.pem": 0o644, "key.pem": 0o600}
SECONDS = 30.0  # for nginx to answer
PAUSE = 0.1


class NotInstalled(CallStashError):
    """nginx does not take a pair: the one before serves on."""


@dataclass(frozen=True)
class Nginx:
    """How nginx is asked whether its files are right, told to read them, and looked at."""

    test: tuple[str, ...] = ("nginx", "-t", "-q")
    reload: tuple[str, ...] = ("systemctl", "reload-or-restart", "nginx")
    address: tuple[str, int] = ("127.0.0.1", 443)
    patience: float = SECONDS
    pid: Path = Path("/run/nginx.pid")

    def take(self, certificate: bytes) -> None:
        """Have nginx serve `certificate` (PEM) from its files, and nothing but that. Raises
        NotInstalled.
        """
        others = set() if self._shows(certificate) else self._serving()
        for command in (self.test, self.reload):
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=SECONDS, check=False,
                    stdin=subprocess.DEVNULL,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise NotInstalled(f"'{' '.join(command)}' can't be run: {error}") from error
            if done.returncode:
                said = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
                raise NotInstalled(f"'{' '.join(command)}' fails: {said[:500]}")
        deadline = time.monotonic() + self.patience
        # The reload only asks nginx. Until the processes before take notice, they answer too.
        while others & self._serving() or not self._shows(certificate):
            if time.monotonic() > deadline:
                raise NotInstalled("nginx was told to read the certificate and shows another one")
            time.sleep(PAUSE)

    def _serving(self) -> set[int]:
        """Return nginx's processes that take connections."""
        try:
            master = self.pid.read_text(encoding="ascii").strip()
            children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
        except OSError:  # it doesn't run
            return set()
        return {int(child) for child in children.split() if not _leaving(child)}

    def _shows(self, certificate: bytes) -> bool:
        try:
            shown = ssl.get_server_certificate(self.address, timeout=5)
        except OSError:
            return False
        first = certificate.decode().partition("-----END")[0] + "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(first)


def _leaving(worker: str) -> bool:
    """Say whether a process of nginx takes no more connections, as it says in its title."""
    try:
        return b"shutting down" in Path(f"/proc/{worker}/cmdline").read_bytes()
    except OSError:
        return True


class Pairs:
    """The pairs in a directory."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self.directory = directory

    def stage(self, pair: Pair) -> None:
        """Keep a checked pair for somebody to activate."""
        self._point("staged", self._keep(pair.key, pair.pem))

    @property
    def staged(self) -> Path | None:
        """Return the directory of the pair that waits."""
        return self.directory / "staged" if (self.directory / "staged").exists() else None

    @property
    def certificate(self) -> Path:
        """Return the file of the installed certificate."""
        return self.directory / "certificate.pem"

    def activate(self, nginx: Nginx) -> None:
        """Install the pair that waits; the one before stays if nginx refuses. Raises
        NotInstalled.
        """
        if self.staged is None:
            raise NotInstalled("no certificate waits: give one with callstash-set-cert KEY CERT")
        with _undisturbed():
            self._switch((self.directory / "staged").readlink().name, nginx)
            (self.directory / "staged").unlink()
            self._tidy()

    def install(self, pair: Pair, nginx: Nginx) -> None:
        """Install a checked pair at once. Raises NotInstalled."""
        with _undisturbed():
            self._switch(self._keep(pair.key, pair.pem), nginx)
            self._tidy()

    def _switch(self, name: str, nginx: Nginx) -> None:
        self._adopt()
        before = (self.directory / "current").readlink().name
        self._point("current", name)
        try:
            nginx.take((self.directory / name / "certificate.pem").read_bytes())
        except NotInstalled as refused:
            self._point("current", before)
            try:
                nginx.take((self.directory / before / "certificate.pem").read_bytes())
            except NotInstalled as again:
                raise NotInstalled(
                    f"{refused}; the pair before is back in its place, but nginx does not serve"
                    f" with it either: {again}"
                ) from again
            raise NotInstalled(f"{refused}; the certificate before serves on") from refused

    def _adopt(self) -> None:
        """Make a pair of the two plain files that the set-up wrote, without a gap."""
        if not (self.directory / "current").exists():
            key, certificate = (
                (self.directory / name).read_bytes() for name in ("key.pem", "certificate.pem")
            )
            self._point("current", self._keep(key, certificate))
        for name in FILES:
            if not (self.directory / name).is_symlink():
                self._point(name, f"current/{name}")

    def _keep(self, key: bytes, certificate: bytes) -> str:
        """Write a pair beside the others, whole or not at all, and return its name."""
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=self.directory))
        try:
            for name, content in (("key.pem", key), ("certificate.pem", certificate)):
                descriptor = os.open(part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as out:
                    os.fchmod(descriptor, FILES[name])
                    out.write(content)
                    out.flush()
                    os.fsync(descriptor)
            part.chmod(0o755)
            files.sync_directory(part)
            whole = part.with_name(part.name.replace(".part", "pair"))
            part.rename(whole)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise NotInstalled(f"{part.parent}: {error.strerror}: put that right first") from error
        files.sync_directory(self.directory)
        return whole.name

    def _point(self, link: str, target: str) -> None:
        """Have a link point elsewhere, in one step."""
        new = self.directory / f".{link}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.rename(self.directory / link)
        files.sync_directory(self.directory)

    def _tidy(self) -> None:
        """Remove pairs that no link names, and what a crash left."""
        links = [self.directory / name for name in ("current", "staged")]
        used = {link.readlink().name for link in links if link.is_symlink()}
        for kind in ("pair-*", ".part-*"):
            for one in self.directory.glob(kind):
                if one.name not in used:
                    shutil.rmtree(one)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Have neither Ctrl-C nor a terminal that goes away stop us halfway."""
    kept = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in kept.items():
            signal.signal(one, handler)
