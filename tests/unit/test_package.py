"""What the Debian package ships says the same as the code: configuration, manual, units."""

import importlib
import re
import shutil
import subprocess
import tomllib
import typing
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from common import config
from common.support import DIRECTORY
from devtools.installation import CREDENTIALS
from tools import setup, support
from tools.cli import COMMANDS, cli
from tools.restore import ROLES

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "units"
DAEMONS = sorted(UNITS.glob("callstash-*.service"))
OPEN = {"callstash-setup": 45, "callstash-upgrade": 95}  # root: exposure in tenths
SANDBOXED = [path for path in DAEMONS if path.stem not in OPEN]
SETTINGS = {
    "poller": "daemons.poller.poller",
    "archiver": "daemons.archiver.archiver",
    "housekeeper": "daemons.housekeeper.housekeeper",
    "backupd": "daemons.backupd.backupd",
    "notifier": "daemons.notifier.notifier",
    "raidmon": "daemons.raidmon.raidmon",
    "support": "daemons.support.support",
    "metrics": "daemons.metrics.metrics",
    "web": "webui.settings",
    "tools": "tools.console",
    "upgrade": "tools.upgrading.repository",
}


def shipped(*, with_defaults: bool) -> dict[str, dict[str, object]]:
    text = (ROOT / "debian/etc/callstash/callstash.toml").read_text()
    if with_defaults:
        text = re.sub(r"^#([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    return tomllib.loads(text)


def test_the_shipped_configuration_has_every_key_that_is_read_and_no_other() -> None:
    read: dict[str, set[str]] = {"common": set(config.SHARED_KEYS)}
    for process, module in SETTINGS.items():
        names = set(typing.get_type_hints(importlib.import_module(module).Settings))
        read[process] = names - set(config.SHARED_KEYS)
    assert {name: set(table) for name, table in shipped(with_defaults=True).items()} == read


@pytest.mark.parametrize("process", SETTINGS)
@pytest.mark.parametrize("with_defaults", [False, True])
def test_every_process_reads_the_shipped_configuration(
    process: str, with_defaults: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = shipped(with_defaults=with_defaults)
    path = tmp_path / "callstash.toml"
    path.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
            for name, table in tables.items()
        )
    )
    monkeypatch.setenv("CALLSTASH_CONFIG", str(path))
    settings = importlib.import_module(SETTINGS[process]).Settings
    found = config.load(process, settings)
    if with_defaults:  # what is commented out is what is done without it
        plain = settings(**{
            name: value for name, value in vars(found).items()
            if name in tables["common"] or name in shipped(with_defaults=False)[process]
        })  # fmt: skip
        examples = {"postgresql", "log_directory", "owner"}
        for name, value in vars(plain).items():
            assert name in examples or getattr(found, name) == value


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


def test_the_manual_names_every_command() -> None:
    manual = (ROOT / "debian/callstash.1").read_text().replace("\\-", "-")
    named = set(re.findall(r'^\.TP\n\.BI? "?([a-z-]+)', manual, re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_command_is_where_the_table_says() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None and (command.name, bool(command.help)) == (name, True)


def unit(path: Path) -> ConfigParser:
    parsed = ConfigParser(strict=False, interpolation=None, delimiters="=")
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(path.read_text())
    return parsed


def test_every_process_has_a_unit_a_user_a_role_and_its_credentials() -> None:
    users = set(re.findall(r"^u (\S+)", (ROOT / "debian/callstash.sysusers").read_text(), re.M))
    assert users == {"callstash"} | {
        f"callstash_{process}" for process in (*CREDENTIALS, "support")
    }
    assert {f"callstash_{role}" for role in ROLES} == users - {"callstash"}
    assert set(re.findall(r"'(callstash\w*)'", setup.ROLES)) == users
    for process, names in CREDENTIALS.items():
        path = next(UNITS.glob(f"callstash-{process}*.service"))
        assert unit(path)["Service"]["User"] == f"callstash_{process}"
        loaded = re.findall(r"^LoadCredential=(\S+):/etc/callstash/credentials/\1$",
                            path.read_text(), re.MULTILINE)  # fmt: skip
        assert loaded == [*names, "broker"]
        assert re.search(rf"callstash-{process}(@\d)?\.service",
                         (UNITS / "callstash.target").read_text())  # fmt: skip


def test_remote_support_has_a_key_of_its_own_and_starts_when_it_is_asked_for() -> None:
    service = unit(UNITS / "callstash-support.service")["Service"]
    assert service["User"] == "callstash_support"
    assert service["LoadCredential"].endswith(f"/{support.KEY}")
    assert unit(UNITS / "callstash-support.path")["Path"]["PathExists"] == str(DIRECTORY / "wanted")
    target = (UNITS / "callstash.target").read_text()
    assert "callstash-support.path" in target and "callstash-support.service" not in target


@pytest.mark.parametrize("path", SANDBOXED, ids=lambda path: path.stem)
def test_the_sandbox_is_the_same_in_every_unit(path: Path) -> None:
    blocks = {
        re.search(r"# The sandbox, .*?\n\n?(?=\Z|#|\n)", each.read_text(), re.DOTALL)[0].strip()  # type: ignore[index]
        for each in (SANDBOXED[0], path)
    }
    assert len(blocks) == 1


def root_with_units(directory: Path) -> Path:
    """Return a root directory with what systemd-analyze looks at."""
    place = directory / "lib/systemd/system"
    shutil.copytree(UNITS, place)
    (directory / "usr/bin").mkdir(parents=True)
    for name in ("python3", "callstash"):
        (directory / "usr/bin" / name).write_text("#!/bin/sh\n")
        (directory / "usr/bin" / name).chmod(0o755)
    return place


def test_systemd_understands_every_line_of_the_units(tmp_path: Path) -> None:
    place = root_with_units(tmp_path)
    units = sorted(path for path in place.iterdir() if path.is_file())
    names = [str(path.relative_to(tmp_path)) for path in units]
    done = subprocess.run(
        ["systemd-analyze", f"--root={tmp_path}", "--man=no", "--recursive-errors=no", "verify",
         *(f"/{name}" for name in names)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wrong = [line for line in done.stderr.splitlines() if "not found" not in line]
    assert (done.returncode, wrong) == (0, [])


@pytest.mark.parametrize("path", DAEMONS, ids=lambda path: path.stem)
def test_a_unit_exposes_little(path: Path) -> None:
    allowed = OPEN.get(path.stem, 12)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={allowed}", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-400:] + done.stderr
