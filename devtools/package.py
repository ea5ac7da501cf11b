"""Build the Debian package from this working tree: var/package/callstash_VERSION_all.deb.

It is built in a copy, from the files that git knows or would add, so that nothing which lies about
gets into it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from common import __version__

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "var" / "package"
PARTS = ("CHANGELOG.md", "common", "completion", "daemons", "debian", "devtools/packages.txt",
         "docs", "leaving", "monitoring",
         "tools", "units", "webui")  # fmt: skip
CHANGELOG = """\
callstash ({version}) stable; urgency=medium

  * The changelog of CallStash says what is new.

 -- CallStash <packages@callstash.invalid>  {date}
"""


class NotBuilt(Exception):
    """What the tools of Debian say is wrong."""


def build(version: str = __version__, out: Path = OUT) -> Path:
    """Build the package in `out` and return it. Raises NotBuilt."""
    tree = out / f"callstash-{version}"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    _copy(tree)
    if version != __version__:
        _set_version(tree / "common" / "__init__.py", version)
    epoch, date = _output("git", "log", "-1", "--format=%ct%n%cD").splitlines()
    (tree / "debian" / "changelog").write_text(CHANGELOG.format(version=version, date=date))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "LC_ALL": "C.UTF-8"}
    environment.pop("MAKEFLAGS", None)
    _run(["dpkg-buildpackage", "--build=binary", "--no-sign"], tree, environment)
    shutil.rmtree(tree)
    return out / f"callstash_{version}_all.deb"


def check(package: Path) -> None:
    """Have lintian read the package. Raises NotBuilt where it finds an error."""
    options = ["--fail-on", "error", "--allow-root", "--tag-display-limit", "0"]
    _run(["lintian", *options, str(package)], package.parent, dict(os.environ))


def _copy(tree: Path) -> None:
    names = _output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def _set_version(file: Path, version: str) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(f'"{__version__}"', f'"{version}"'), encoding="utf-8")


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=directory, env=environment, check=False, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise NotBuilt(f"{command[0]} failed:\n{done.stdout[-6000:]}")


def main() -> int:
    """Build the package, check it, and say where it is."""
    parser = argparse.ArgumentParser(prog="./dev package")
    parser.parse_args()
    try:
        package = build()
        check(package)
    except NotBuilt as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    print(package.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
