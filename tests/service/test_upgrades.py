"""The check for upgrades, against a real apt with a repository and a status file of its own."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from daemons.housekeeper.upgrades import Upgrades, versions
from tests.quiet import Quiet

STATUS = """\
Package: callstash
Status: install ok installed
Maintainer: x <x@example.com>
Architecture: all
Version: {}
Description: x

"""
OFFERED = """\
Package: callstash
Architecture: all
Maintainer: x <x@example.com>
Version: {}
Filename: ./callstash.deb
Size: 1
SHA256: 0000000000000000000000000000000000000000000000000000000000000000
Description: x

"""


class Apt:
    """An apt in a directory: what is installed, and what a repository offers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("lists/partial", "cache/archives/partial", "repository", "etc"):
            (directory / name).mkdir(parents=True)
        self.config = directory / "apt.conf"
        (directory / "sources.list").write_text(
            f"deb [trusted=yes] file:{directory}/repository ./\n"
        )
        self.config.write_text(
            f'Dir::State::lists "{directory}/lists";\nDir::State::status "{directory}/status";\n'
            f'Dir::Cache "{directory}/cache";\nDir::Etc::sourcelist "{directory}/sources.list";\n'
            f'Dir::Etc::sourceparts "{directory}/etc";\nDir::Etc::preferencesparts "/none";\n'
            'APT::Sandbox::User "root";\n'
        )

    def offer(self, installed: str, offered: str) -> None:
        """Have a version installed, and another one in the repository."""
        (self.directory / "status").write_text(STATUS.format(installed) if installed else "")
        packages = self.directory / "repository" / "Packages"
        packages.write_text(OFFERED.format(offered) if offered else "")
        subprocess.run(
            ["apt-get", "-qq", "update"], check=True, env={"APT_CONFIG": str(self.config),
            "PATH": "/usr/bin:/bin"},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("installed", "offered", "noted"),
    [
        ("0.1.0", "0.2.0", ("0.1.0", "0.2.0")),
        ("0.2.0", "0.2.0", ("0.2.0", None)),
        ("0.3.0", "0.2.0", ("0.3.0", None)),
        ("0.1.0", "", ("0.1.0", None)),
        ("", "0.2.0", (None, None)),
        ("", "", (None, None)),
    ],
)
def test_a_newer_version_is_noted(
    db: psycopg.Connection[Any],
    connect_as: Callable[[str], psycopg.Connection[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: str,
    offered: str,
    noted: tuple[str | None, str | None],
) -> None:
    apt = Apt(tmp_path)
    apt.offer(installed, offered)
    monkeypatch.setenv("APT_CONFIG", str(apt.config))
    now = [datetime(2026, 11, 24, tzinfo=UTC)]
    upgrades = Upgrades(connect_as("housekeeper"), lambda: now[0])
    upgrades.turn(Quiet())  # type: ignore[arg-type]
    row = "SELECT installed, candidate FROM upgrade"
    assert db.execute(row).fetchone() == noted
    apt.offer("0.1.0", "9.9")
    upgrades.turn(Quiet())  # type: ignore[arg-type]
    assert db.execute(row).fetchone() == noted
    now[0] += timedelta(days=1)
    upgrades.turn(Quiet())  # type: ignore[arg-type]
    assert db.execute(row).fetchone() == ("0.1.0", "9.9")


def test_what_apt_does_not_say_is_nothing() -> None:
    assert versions("") == (None, None)
    assert versions("N: Unable to locate package callstash") == (None, None)
