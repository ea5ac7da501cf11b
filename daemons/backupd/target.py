"""Where backups go, as rsync reaches it: a mounted volume, or a server over ssh.

All that ssh is told stands in a file that is made for the one run; a password is in a file that
only we can read, never in a command line or an environment. Only the pinned host key is accepted.
All calls for one piece of work share a connection.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import CallStashError

SECONDS = 8  # to connect
SILENCE = 120  # seconds after which a server that says nothing hangs
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?", re.ASCII)
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*", re.ASCII)
HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}", re.ASCII)
CONFIG = """\
Host target
  HostName {host}
  Port {port}
  User {username}
  HostKeyAlias callstash-target
  UserKnownHostsFile {directory}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  ConnectTimeout {seconds}
  ServerAliveInterval {interval}
  ServerAliveCountMax 4
  ClearAllForwardings yes
  ForwardAgent no
  ControlMaster auto
  ControlPath {directory}/control
  ControlPersist 30
  PermitLocalCommand no
  LogLevel ERROR
  IdentityAgent none
  IdentitiesOnly yes
"""
WITH_KEY = """\
  IdentityFile {key}
  PreferredAuthentications publickey
  BatchMode yes
"""
WITH_PASSWORD = """\
  IdentityFile none
  PubkeyAuthentication no
  PreferredAuthentications password,keyboard-interactive
  NumberOfPasswordPrompts 1
"""
ASKPASS = """\
#!/usr/bin/python3 -I
import sys
sys.stdout.write(open(__file__ + ".secret", encoding="utf-8").read() + "\\n")
"""


class BackupFailed(CallStashError):
    """A backup, or a try of its target, failed; the text says why."""


@dataclass(frozen=True)
class Target:
    """A target; without a host it is the directory of a volume. A password is for no other host."""

    path: str
    host: str = ""
    port: int = 22
    username: str = ""
    host_key: str = ""
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Return what people call it."""
        return self.host or self.path


@dataclass(frozen=True)
class Reached:
    """How to call rsync for a target: options, environment, and what its path is called."""

    target: Target
    options: tuple[str, ...]
    environment: dict[str, str]
    directory: Path

    def place(self, path: str = "") -> str:
        """Return a directory at the target as rsync takes it."""
        base = f"{self.target.path.rstrip('/')}/{path}".rstrip("/") + "/"
        return f"target:{base}" if self.target.host else base

    def command(self, *arguments: str, seconds: int | None = None) -> list[str]:
        """Return a call of rsync, which ends when we do or when the other end says nothing for so
        long, and lets others read and write first.

        What a path has in it means nothing to the server's shell: rsync sees to that since 3.2.4.
        --secluded-args would do so too, but rrsync(1), which restricts a key, refuses it.
        """
        return [
            "setpriv", "--pdeathsig", "TERM", "--", "ionice", "-c", "3", "rsync",
            f"--timeout={seconds or SILENCE}", *self.options, *arguments,
        ]  # fmt: skip

    def rsync(self, *arguments: str, seconds: float = 2.5 * SECONDS) -> str:
        """Call rsync for something small and return what it says. Raises BackupFailed."""
        try:
            done = subprocess.run(
                self.command(*arguments), env=self.environment, capture_output=True, text=True,
                errors="replace", timeout=seconds, check=False, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BackupFailed(f"{self.target.name} does not answer in time.") from error
        if done.returncode:
            raise BackupFailed(words(self.target, done.returncode, done.stderr))
        return done.stdout


@contextmanager
def reached(target: Target, key: Path | None) -> Iterator[Reached]:
    """Prepare calls of rsync for a target; `key` is the box's private ssh key."""
    directory = Path(tempfile.mkdtemp(prefix="callstash-backup-"))
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    options: tuple[str, ...] = ()
    try:
        if target.host:
            _check(target)
            written = {"host": target.host, "port": target.port, "username": target.username,
                       "directory": directory, "seconds": SECONDS, "key": key,
                       "interval": max(1, SILENCE // 8)}  # fmt: skip
            more = WITH_KEY if target.password is None else WITH_PASSWORD
            (directory / "config").write_text((CONFIG + more).format(**written))
            (directory / "known_hosts").write_text(f"callstash-target {target.host_key}\n")
            if target.password is not None:
                _write(directory / "askpass", ASKPASS, 0o700)
                _write(directory / "askpass.secret", target.password, 0o600)
                environment |= {"SSH_ASKPASS": str(directory / "askpass"), "DISPLAY": ":0",
                                "SSH_ASKPASS_REQUIRE": "force"}  # fmt: skip
            options = ("--rsh", f"ssh -F {directory}/config")
        yield Reached(target, options, environment, directory)
    finally:
        if (directory / "control").exists():
            subprocess.run(
                ["ssh", "-F", f"{directory}/config", "-O", "exit", "target"],
                capture_output=True, check=False, timeout=SECONDS,
            )  # fmt: skip
        shutil.rmtree(directory, ignore_errors=True)


def _check(target: Target) -> None:
    """Refuse what would mean something else in ssh's configuration. Raises BackupFailed."""
    if not HOST.fullmatch(target.host):
        raise BackupFailed("The server's name can't be one.")
    if not USER.fullmatch(target.username):
        raise BackupFailed("The user name can't be one.")
    if not HOST_KEY.fullmatch(target.host_key):
        raise BackupFailed("The server's key can't be one.")
    if not target.path.startswith("/") or not target.path.isprintable():
        raise BackupFailed("The path must begin with a slash.")


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def host_key(host: str, port: int) -> str:
    """Return the key that a server shows now, as type and base64. Raises BackupFailed."""
    if not HOST.fullmatch(host):
        raise BackupFailed("The server's name can't be one.")
    command = ["ssh-keyscan", "-T", str(SECONDS), "-p", str(port), "-t", "ed25519,ecdsa,rsa", host]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BackupFailed(f"{host} does not answer on port {port}.") from error
    keys = [line.split(None, 1)[1] for line in done.stdout.splitlines() if line.count(" ") >= 2]
    for kind in ("ssh-ed25519", "ecdsa-", "ssh-rsa"):
        for key in keys:
            if key.startswith(kind) and HOST_KEY.fullmatch(key):
                return key
    text = done.stderr.casefold()
    if "name or service not known" in text or "getaddrinfo" in text or "resolve" in text:
        raise BackupFailed(f"There is no server with the name {host}.")
    if "refused" in text:
        raise BackupFailed(f"{host} refuses connections on port {port}. Does ssh run there?")
    raise BackupFailed(f"{host} does not speak ssh on port {port}.")


def words(target: Target, status: int, said: str) -> str:
    """Return why rsync failed, in words for an administrator."""
    text = said.casefold()
    for mark, sentence in _REASONS:
        if mark in text:
            return sentence.format(host=target.name, port=target.port, path=target.path,
                                   user=target.username)  # fmt: skip
    lines = [line for line in said.splitlines() if line.strip()]  # also such that tell progress
    last = next(
        (line for line in lines if line.startswith("rsync")), [*lines, "it says nothing"][0]
    )
    return f"rsync failed (status {status}): {last.strip()[:200]}"


_REASONS: Sequence[tuple[str, str]] = (
    ("could not resolve hostname", "There is no server with the name {host}."),
    ("connection refused", "{host} refuses connections on port {port}. Does ssh run there?"),
    ("no route to host", "{host} can't be reached: there is no route to it."),
    ("network is unreachable", "{host} can't be reached: there is no route to it."),
    ("io timeout", "{host} stopped answering in the middle of the backup."),
    ("not responding", "{host} stopped answering in the middle of the backup."),
    ("timeout, server", "{host} stopped answering in the middle of the backup."),
    ("connection timed out", "{host} does not answer on port {port}."),
    ("host key verification failed",
     "The host key of {host} is another one than the one that was saved. If the server was"
     " replaced, save it anew; if not, somebody may be in between."),
    ("identification has changed",
     "The host key of {host} is another one than the one that was saved. If the server was"
     " replaced, save it anew; if not, somebody may be in between."),
    ("permission denied (", "{host} refuses the login of {user}. Check the user name, and the"
     " password, or that the box's public key is in authorized_keys there."),
    ("too many authentication failures", "{host} refuses the login of {user}."),
    ("no space left on device", "There is no room left at {host}."),
    ("disk quota exceeded", "There is no room left at {host}: a quota is used up."),
    ("read-only file system", "{path} can't be written to: it is read-only."),
    ("no such file or directory", "There is no directory {path} at {host}."),
    ("not a directory", "{path} at {host} is not a directory."),
    ("permission denied", "{user} may not write to {path} at {host}."),
    ("operation not permitted", "{user} may not write to {path} at {host}."),
    ("rsync: command not found", "There is no rsync at {host}. Install it, or switch it on."),
    ("rsync: not found", "There is no rsync at {host}. Install it, or switch it on."),
    ("broken pipe", "The connection to {host} broke off, or it stopped answering, in the middle of"
     " the backup."),
    ("connection unexpectedly closed", "{host} ended the connection. Is rsync installed there?"),
)  # fmt: skip
