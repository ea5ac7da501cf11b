"""What the development commands need on this machine, installed once: Debian packages, test tools.

Runs on the standard library alone. No service of the system is started, and no test tool replaces a
library that CallStash runs on: the tests use what users have.
"""

import datetime
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
TEST_TOOLS = ROOT / "requirements-test.txt"
NEWEST = ROOT / "requirements-newest.txt"
POLICY = Path("/usr/sbin/policy-rc.d")
REFUSE = "#!/bin/sh\n# CallStash's ./dev: start no service while packages are installed\nexit 101\n"
RUNTIME = {
    "argon2-cffi",
    "blinker",
    "certifi",
    "cffi",
    "chardet",
    "charset-normalizer",
    "click",
    "cryptography",
    "flask",
    "gunicorn",
    "idna",
    "itsdangerous",
    "jinja2",
    "markupsafe",
    "numpy",
    "pika",
    "prometheus-client",
    "psycopg",
    "pythondialog",
    "requests",
    "sdnotify",
    "systemd-python",
    "urllib3",
    "werkzeug",
}


class SetupError(Exception):
    """What a person must do first, in one sentence."""


def prepare(*groups: str) -> Path:
    """Install what is missing of the package groups and test tools; return the Python to use."""
    with _alone():
        _install_packages(_missing(groups))
        python = _environment(VAR / "venv", [TEST_TOOLS], "", "--system-site-packages")
        packages = python.parent.parent / "lib" / "python3.11" / "site-packages"
        found = {
            (distribution.metadata["Name"] or "").lower().replace("_", "-")
            for distribution in importlib.metadata.distributions(path=[str(packages)])
        }
        if shadowed := sorted(found & RUNTIME):
            shutil.rmtree(VAR / "venv")
            raise SetupError(
                f"{TEST_TOOLS.name} replaces Debian's {', '.join(shadowed)}: take out what needs it"
            )
        return python


def prepare_newest() -> Path:
    """Install the newest versions of the index, at most a week ago; return their Python."""
    with _alone():
        week = datetime.datetime.now(datetime.UTC).strftime("%G-%V")
        return _environment(VAR / "venv-newest", [NEWEST, TEST_TOOLS], week)


@contextmanager
def _alone() -> Iterator[None]:
    VAR.mkdir(exist_ok=True)
    with (VAR / "setup.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def packages(*groups: str) -> list[str]:
    """Return the Debian packages of groups."""
    wanted, group = [], ""
    for line in (ROOT / "devtools" / "packages.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif not line.startswith("#") and group in groups:
            wanted.append(line)
    return wanted


def _missing(groups: tuple[str, ...]) -> list[str]:
    wanted = packages(*groups)
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *wanted]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return [name for name in wanted if f"{name} installed" not in shown.splitlines()]


def _install_packages(missing: list[str]) -> None:
    if not missing:
        return
    names = " ".join(missing)
    root = _root_prefix()
    if root is None:
        raise SetupError(
            f"these Debian packages are missing: {names}; install them as root with"
            f" 'apt-get install --no-install-recommends {names}'"
        )
    _say(f"installing Debian packages: {names}")
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    apt += ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    with _no_service_starts(root):
        _run([*apt, "update"], "apt-get update")
        _run([*apt, "install", "--yes", "--no-install-recommends", *missing], "apt-get install")


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        allowed = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
        if allowed.returncode == 0:
            return ["sudo", "-n"]
    return None


@contextmanager
def _no_service_starts(root: list[str]) -> Iterator[None]:
    """Have invoke-rc.d(8) refuse to start anything; the one administrator's policy is respected."""
    if POLICY.exists() and POLICY.read_text(encoding="utf-8", errors="replace") != REFUSE:
        yield
        return
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as policy:
        policy.write(REFUSE)
        policy.flush()
        _run([*root, "install", "--mode=755", policy.name, str(POLICY)], f"writing {POLICY}")
    try:
        yield
    finally:
        _run([*root, "rm", "--force", str(POLICY)], f"removing {POLICY}")


def _environment(directory: Path, requirements: list[Path], age: str, *options: str) -> Path:
    python = directory / "bin" / "python"
    content = b"".join(path.read_bytes() for path in requirements)
    wanted = hashlib.sha256(content + f"{directory} {age}".encode()).hexdigest()
    stamp = directory / "stamp"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return python
    _say(f"installing Python packages in {directory.relative_to(ROOT)}")
    shutil.rmtree(directory, ignore_errors=True)
    _run(["/usr/bin/python3", "-m", "venv", *options, str(directory)], "python3 -m venv")
    files = [part for path in requirements for part in ("-r", str(path))]
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, *files], "pip install")
    stamp.write_text(wanted, encoding="ascii")
    return python


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"{what} failed:\n{done.stdout}")


def _say(sentence: str) -> None:
    print(f"dev: {sentence}", file=sys.stderr, flush=True)
