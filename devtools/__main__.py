"""The verbs of ./dev. Each prepares the machine first, then runs in the development environment."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devtools import setup

ROOT = setup.ROOT
CODE = ["common", "daemons", "devtools", "simulators", "tests", "tools", "webui", "bench"]
BACKUP = "tests/service/test_backup.py"  # waits much, for rsync and ssh
LONGEST = [BACKUP, "tests/vm", "tests/web", "tests/service", "tests/drill", "tests/unit"]
ON_NEWEST = ["tests/service", "tests/drill", "tests/unit"]
# Nearly all of their time is that of what is the same for both: rsync, ssh, apt, nginx, the
# kernel's files, our own simulator. (Backups run on the newest in the drills.)
NOT_ON_NEWEST = [
    f"tests/service/test_{name}.py"
    for name in (
        "backup",
        "certificates",
        "private_rabbitmq",
        "raidmon",
        "simulator",
        "support",
        "upgrades",
    )
]
ON_PC = ["tests/vm/test_raid.py", "tests/vm/test_disks.py"]
IN_MEMORY = ("tests/service", "tests/web", "tests/unit")  # drills and machines have real disks
MEMORY = Path("/dev/shm")  # noqa: S108
ENOUGH = 4 << 30  # bytes


def main() -> int:
    """Run the verb that the command line names."""
    verb, *arguments = sys.argv[1:] or ["help"]
    if verb in ("-h", "--help"):
        verb = "help"
    if verb not in VERBS:
        print(f"dev: there is no '{verb}'; './dev help' lists the commands", file=sys.stderr)
        return 2
    try:
        return VERBS[verb](arguments)
    except setup.SetupError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1


def demo(arguments: list[str]) -> int:
    """[--fresh] [--check]   the whole archive, with a simulated PBX, until Ctrl-C"""
    return _become(setup.prepare("run", "test"), "devtools.demo", *arguments)


def test(arguments: list[str]) -> int:
    """[pytest arguments]    all checks and tests; with arguments, only those tests"""
    python = setup.prepare("run", "test", "package", "vm")
    if arguments:
        return _become(python, "pytest", *arguments)
    return _lint(python) or _all_tests(python, setup.prepare_newest())


def _all_tests(debian: Path, newest: Path) -> int:
    """Run each directory of tests, three at a time, since most of them wait much, and beside them
    those on an emulated PC; all must pass.

    Unit tests, drills and most service tests run on Debian's Python packages and on the newest.
    """
    found = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}
    order = [*LONGEST, *sorted(found - set(LONGEST))]
    jobs = [("Debian's", debian, path) for path in order]
    jobs[4:4] = [("newest", newest, path) for path in ON_NEWEST]
    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(3) as pool:
        last = beside.submit(_job, "tests on an emulated PC", debian, ON_PC)
        results = [*pool.map(lambda job: _tests(*job), jobs), last.result()]
    failed = [what for what, status in results if status]
    for what in failed:
        print(f"FAILED: {what}", flush=True)
    return 1 if failed else 0


def _tests(packages: str, python: Path, path: str) -> tuple[str, int]:
    apart = [BACKUP, *ON_PC, *(NOT_ON_NEWEST if packages == "newest" else [])]
    left_out = [f"--ignore={one}" for one in apart if one.startswith(f"{path}/")]
    what = f"{path}, {packages} Python packages"
    if not path.startswith(IN_MEMORY) or shutil.disk_usage(MEMORY).free < ENOUGH:
        return _job(what, python, [path, *left_out])
    with tempfile.TemporaryDirectory(prefix="t-", dir=MEMORY) as directory:
        # the name is short, since paths of sockets are: unix(7)
        options = [f"--basetemp={directory}/t", *left_out]
        return _job(what, python, [path, *options], TMPDIR=directory)


def _job(what: str, python: Path, paths: list[str], **environment: str) -> tuple[str, int]:
    name = f"{python.parent.parent.name}-{Path(paths[0]).stem}"
    command = [str(python), "-m", "pytest", "--durations=10", "-o", f"cache_dir=var/pytest/{name}"]
    done = subprocess.run(
        [*command, *paths], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, env={**os.environ, **environment},
    )  # fmt: skip
    print(f"=== {what}\n{done.stdout}", flush=True)
    return what, done.returncode


def check(_arguments: list[str]) -> int:
    """format, lint, types, unit tests"""
    python = setup.prepare("run", "test")
    return _lint(python) or _run("unit tests", python, "pytest", "tests/unit")


def bench(arguments: list[str]) -> int:
    """NAME                  one benchmark; without a name, which there are"""
    names = sorted(path.stem for path in (ROOT / "bench").glob("[!_]*.py"))
    if not arguments or arguments[0] not in names:
        print(f"dev: say which benchmark: {', '.join(names) or 'there is none yet'}")
        return 2
    return _become(setup.prepare("run", "test", "bench"), f"bench.{arguments[0]}", *arguments[1:])


def vm(arguments: list[str]) -> int:
    """[pytest arguments]    the installed package, in a container and on a PC with a disk array"""
    python = setup.prepare("run", "test", "package", "vm")
    return _become(python, "pytest", "--durations=10", *(arguments or ["tests/vm"]))


def schema(_arguments: list[str]) -> int:
    """write common/sql/schema.sql, the sum of the migrations"""
    return _become(setup.prepare("run", "test"), "devtools.schema")


def stack(_arguments: list[str]) -> int:
    """a private PostgreSQL and RabbitMQ until Ctrl-C"""
    return _become(setup.prepare("run", "test"), "devtools.stack")


def package(_arguments: list[str]) -> int:
    """build and check the Debian package, in var/package"""
    return _become(setup.prepare("run", "test", "package"), "devtools.package")


def image(arguments: list[str]) -> int:
    """[--check]             build the appliance, in var/image: a disk and an OVA; boot it"""
    return _become(setup.prepare("run", "test", "package", "vm"), "devtools.appliance", *arguments)


def show_help(_arguments: list[str]) -> int:
    """this list"""
    for name, verb in VERBS.items():
        print(f"./dev {name:7}{verb.__doc__}")
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "demo": demo,
    "test": test,
    "check": check,
    "bench": bench,
    "vm": vm,
    "schema": schema,
    "stack": stack,
    "package": package,
    "image": image,
    "help": show_help,
}


def _lint(python: Path) -> int:
    code = [name for name in CODE if any((ROOT / name).rglob("*.py"))]
    return (
        _run("format", python, "ruff", "format", "--quiet", "--diff", *code)
        or _run("lint", python, "ruff", "check", "--quiet", *code)
        or _run("types", python, "mypy", "--no-error-summary", *code)
    )


def _run(what: str, python: Path, module: str, *arguments: str) -> int:
    print(f"=== {what}", flush=True)
    return subprocess.run([python, "-m", module, *arguments], check=False).returncode


def _become(python: Path, module: str, *arguments: str) -> int:
    sys.stdout.flush()
    os.execv(python, [str(python), "-m", module, *arguments])


if __name__ == "__main__":
    sys.exit(main())
