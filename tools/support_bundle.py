"""`callstash support-bundle`: what the vendor needs to see, and nothing of a call or a person.

Nothing is scrubbed: each part takes from its source only what is known to be harmless, by name. So
what a later release adds stays out until somebody lets it in.
"""

import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click
import psycopg

from common import __version__, config, figures
from common.errors import CallStashError
from common.queries import sizes
from tools import status
from tools.bundle_journal import records
from tools.status import Settings

SECONDS = 60  # that a program may take
LINES = 50_000  # of the journal
MDSTAT = Path("/proc/mdstat")
PACKAGES = (
    "callstash", "ffmpeg", "gunicorn", "nginx", "postgresql", "python3-cryptography",
    "python3-flask", "python3-pika", "python3-psycopg", "rabbitmq-server", "rsync", "systemd",
)  # fmt: skip
PLAIN = frozenset((  # settings whose values name nobody
    "timezone", "settle_seconds", "reserve_mb", "retry_seconds", "purge_at", "brake_percent",
    "scrub_days", "backup_at", "session_idle_minutes", "session_hours", "port",
))  # fmt: skip
UNITS = ("callstash*", "postgresql*", "rabbitmq-server.service", "nginx.service")
PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus",
    "MemoryCurrent", "CPUUsageNSec", "ActiveEnterTimestampMonotonic", "UnitFileState",
)  # fmt: skip
VALUE = re.compile(r"[\w@.:\[\]-]{0,80}")
SETTING = re.compile(r"\d{1,6}|\d\d:\d\d|True|False|[A-Z][a-z]+/[A-Z][A-Za-z_]+|UTC|")
README = """\
A support bundle of CallStash. It holds versions, harmless settings, states of units, the journal as
CallStash's own sentences without what was put into them, sizes and counts of the database, figures,
arrays and disks. It holds no numbers, names, addresses, passwords, tokens or keys.
'missing.json' says what could not be had, and why. All files are text: look before you send it.
"""


class Missing(Exception):
    """A part can't be had; the text says why, in our own words."""


@click.command("support-bundle")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--days", default=3, show_default=True, type=click.IntRange(1, 30),
              help="How far the journal goes back.")  # fmt: skip
@click.option("--journal", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A journal file to read instead of this machine's journal.")  # fmt: skip
def support_bundle(file: Path, days: int, journal: Path | None) -> None:
    """Write to FILE what the vendor needs to find a fault, without anything personal.

    FILE becomes a .tar.gz of text files, which you can look at before you send it. It is made, too,
    when PostgreSQL or RabbitMQ is down; 'missing.json' in it says what could not be had.

    \b
    Examples:
      callstash support-bundle /root/bundle.tar.gz
      callstash support-bundle --days 14 /root/bundle.tar.gz

    Exit status: 0 written, 1 not written, for the reason that is said.
    """
    parts: dict[str, Callable[[], bytes]] = {
        "versions.json": lambda: _json(_versions()),
        "configuration.json": lambda: _json(_configuration()),
        "units.json": lambda: _json(_units()),
        "journal.jsonl": lambda: _journal(days, journal),
        "status.json": lambda: _json(_status()),
        "database.json": lambda: _json(_database()),
        "disks.json": lambda: _json(_disks()),
        "mdstat": _mdstat,
    }
    members, missing = {"README": README.encode()}, {}
    for name, part in parts.items():
        try:
            members[name] = part()
        except Missing as error:
            missing[name] = str(error)
    members["missing.json"] = _json(missing)
    _write(file, _tar(members))
    for name, why in missing.items():
        click.echo(f"without {name}: {why}")
    click.echo(f"wrote {file}: look into it before you send it")


def _versions() -> dict[str, object]:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n", *PACKAGES]
    shown = _run(query, statuses=(0, 1)).decode(errors="replace")
    packages = dict(re.findall(r"^([a-z0-9+.-]+) ([\w.:+~-]{1,60})$", shown, re.MULTILINE))
    python = platform.python_version()
    return {"callstash": __version__, "python": python, "kernel": platform.release(),
            "machine": platform.machine(), "packages": packages}  # fmt: skip


def _configuration() -> dict[str, object]:
    path = Path(os.environ.get("CALLSTASH_CONFIG", config.DEFAULT_PATH))
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Missing(f"the configuration can't be read ({type(error).__name__})") from error
    kept: dict[str, object] = {}
    for name in ("common", "poller", "archiver", "housekeeper", "notifier", "raidmon", "backupd",
                 "web", "metrics", "tools"):  # fmt: skip
        table = tables.get(name)
        if isinstance(table, dict):
            harmless = {
                key: value
                for key, value in table.items()
                if key in PLAIN
                and type(value) in (int, bool, str)
                and SETTING.fullmatch(str(value))
            }
            kept[name] = {"settings": harmless, "others": len(table) - len(harmless)}
    return kept


def _units() -> list[dict[str, str]]:
    command = ["systemctl", "show", "--no-pager", f"--property={','.join(PROPERTIES)}", *UNITS]
    blocks = _run(command).decode(errors="replace").split("\n\n")
    units = [dict(re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE)) for block in blocks]
    return [
        {key: value for key, value in unit.items() if key in PROPERTIES and VALUE.fullmatch(value)}
        for unit in units
        if re.match(r"callstash|postgresql|rabbitmq-server|nginx", unit.get("Id", ""))
    ]


def _journal(days: int, file: Path | None) -> bytes:
    command = ["journalctl", "--output=json", "--no-pager", "--quiet", f"--lines={LINES}"]
    command += [f"--since=@{int(time.time()) - days * 86400}", "--unit=callstash*"]
    return b"".join(records(_run([*command, *([f"--file={file}"] if file else [])])))


def _settings() -> Settings:
    try:
        return config.load("tools", Settings)
    except CallStashError as error:
        raise Missing("the configuration can't be used") from error


def _status() -> object:
    try:
        return figures.plain(status.read(_settings()), texts=False)
    except psycopg.Error as error:
        raise Missing(f"PostgreSQL does not answer ({type(error).__name__})") from error


def _database() -> dict[str, object]:
    settings = _settings()
    try:
        with psycopg.connect(
            settings.database, user=settings.owner, autocommit=True, connect_timeout=10
        ) as db:
            tables = [asdict(table) for table in sizes.tables(db)]
            return {**asdict(sizes.database(db)), "tables": tables}
    except psycopg.Error as error:
        raise Missing(f"PostgreSQL does not answer ({type(error).__name__})") from error


def _disks() -> dict[str, Mapping[str, int]]:
    places = {"root": Path("/"), "var": Path("/var"), "log": Path("/var/log"),
              "postgresql": Path("/var/lib/postgresql")}  # fmt: skip
    with suppress(Missing):  # then other parts say so
        places["archive"] = _settings().archive
    found: dict[str, Mapping[str, int]] = {}
    for name, path in places.items():
        if path.exists():
            usage = os.statvfs(path)
            found[name] = {
                "size": usage.f_blocks * usage.f_frsize, "free": usage.f_bavail * usage.f_frsize,
                "inodes": usage.f_files, "free_inodes": usage.f_favail,
            }  # fmt: skip
    return found


def _mdstat() -> bytes:
    try:
        return MDSTAT.read_bytes()
    except OSError as error:
        raise Missing("this kernel knows no arrays") from error


def _run(command: list[str], statuses: tuple[int, ...] = (0,)) -> bytes:
    if shutil.which(command[0]) is None:
        raise Missing(f"there is no {command[0]}")
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{command[0]} does not answer") from error
    if done.returncode not in statuses:
        raise Missing(f"{command[0]} ended with status {done.returncode}")
    return done.stdout


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _tar(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"callstash-support/{name}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _write(file: Path, content: bytes) -> None:
    """Write a new file that nobody else can read."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise CallStashError(f"{file} is already there: name another file") from error
    except OSError as error:
        raise CallStashError(f"{file} can't be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    except OSError as error:
        file.unlink()
        raise CallStashError(f"{file} can't be written: {error.strerror}") from error
