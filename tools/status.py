"""`callstash status`: how the box is, for a person or for a script."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import click
import psycopg

from common import bus, config, figures
from common.errors import ConfigError
from common.figures import Figures
from tools import console

WELL, ATTENTION, UNKNOWN = 0, 1, 2


CREDENTIALS = Path("/etc/callstash/credentials")  # of an installed CallStash; only root reads it


@dataclass(frozen=True, kw_only=True)
class Settings(console.Settings):
    """What it needs of callstash.toml."""

    broker: str


def _broker(url: str) -> str:
    """Return how to reach RabbitMQ: as who runs this may, if the address does not say as whom."""
    file = CREDENTIALS / "broker"
    if "@" in url or "CREDENTIALS_DIRECTORY" in os.environ or not os.access(file, os.R_OK):
        return url
    scheme, _, place = url.partition("://")
    password = quote(file.read_text(encoding="ascii").strip(), safe="")
    return f"{scheme}://{bus.USER}:{password}@{place}"


def read(settings: Settings) -> Figures:
    """Return the figures, as the owner of the database sees them."""
    with psycopg.connect(
        settings.database, user=settings.owner, autocommit=True, connect_timeout=10
    ) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET statement_timeout = '60s'")
        return figures.read(db, _broker(settings.broker))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a script: one JSON document.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Say how this CallStash is: what is stored and waits, polls, disks, backups, alerts.

    The exit status is 0 if all is well, 1 if something needs a person, and 2 if that can't be told,
    because PostgreSQL does not answer or the configuration can't be read.

    \b
    Examples:
      callstash status
      callstash status --json | jq .waiting
      callstash status > /dev/null || echo "look after CallStash"
    """
    try:
        found = read(config.load("tools", Settings))
    except (ConfigError, psycopg.OperationalError) as error:
        text = " ".join(str(error).split())
        if as_json:
            click.echo(json.dumps({"status": UNKNOWN, "error": text}))
        click.echo(f"callstash: can't tell how it is: {text}", err=True)
        context.exit(UNKNOWN)
    troubles = figures.troubles(found)
    code = ATTENTION if troubles else WELL
    if as_json:
        document = figures.plain(found, texts=True)
        assert isinstance(document, dict)
        whole = {"status": code, "troubles": troubles, **document}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        for line in (*_troubles(troubles), *_archive(found), *_machine(found), *_parts(found)):
            click.echo(line)
    context.exit(code)


def _troubles(troubles: list[str]) -> Iterator[str]:
    if not troubles:
        yield "All is well."
    for one in troubles:
        yield f"! {one}"
    yield ""


def _archive(found: Figures) -> Iterator[str]:
    stored = found.stored
    yield _line(
        "Stored", f"{stored.calls:,} calls, {size(stored.bytes)}, {stored.companies:,} companies"
    )
    waiting = [
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in found.waiting.items() if count
    ]
    yield _line("Waiting", ", ".join(waiting) or "none")
    damaged = sum(count for kind, count in found.damaged.items() if kind != "untracked")
    text = f"{found.lost:,} lost in 30 days, {found.unexplained:,} unexplained, {damaged:,} damaged"
    yield _line("Books", text)
    for pbx in found.pbxs:
        text = f"last polled {ago(found.at, pbx.good_at)}"
        if pbx.state != "active":
            text += ", suspended"
        if pbx.poll_failures:
            text += f", {pbx.poll_failures} polls failed since"
        if pbx.fetch_failures:
            text += f", {pbx.fetch_failures} downloads refused in a row"
        if loss := found.losses.get(pbx.id):
            text += f", would lose calls in {span(loss - found.at)}"
        yield _line(f"PBX {pbx.id}", f"{pbx.name}: {text}")


def _machine(found: Figures) -> Iterator[str]:
    for disk in found.disks:
        text = f"{size(disk.free)} of {size(disk.size)} free ({disk.free / disk.size:.0%})"
        full = f", full on {disk.full_on.isoformat()}" if disk.full_on else ""
        yield _line(f"Disk {disk.volume}", text + full)
    for array in found.arrays:
        text = (
            f"{array.level}, {array.state}, {array.disks - array.degraded} of {array.disks} disks"
        )
        if array.action and array.percent is not None:
            text += f", {array.action} {array.percent:.0f} %"
        yield _line(f"RAID {array.name}", text)
    backups = found.backups
    if backups.saved_at is None:
        yield _line("Backup", "none is set up")
    else:
        last = f", the last one {backups.state}" if backups.state else ""
        yield _line("Backup", f"last good one {ago(found.at, backups.good_at)}{last}")
        bad = ", the last trial failed" if backups.drill_error else ""
        yield _line("Restore", f"last proven {ago(found.at, backups.proven_at)}{bad}")
    if found.licence is None:
        yield _line("Licence", "none: not activated")
    else:
        until = _day(found.licence.support_until)
        yield _line(
            "Licence", f"{found.licence.serial}, {found.licence.pbxs} PBXs, support until {until}"
        )


def _parts(found: Figures) -> Iterator[str]:
    for daemon in found.daemons:
        silent = daemon.silent_seconds > figures.SILENT
        text = (
            f"silent for {span(timedelta(seconds=daemon.silent_seconds))}"
            if silent
            else daemon.doing
        )
        yield _line(daemon.name, text)
    if found.queues is None:
        yield _line("Queues", "RabbitMQ does not answer")
    else:
        yield _line("Queues", ", ".join(f"{one.name} {one.messages}" for one in found.queues))
    outbox = found.outbox
    text = f"{outbox.waiting} to be passed on, {outbox.parked} parked, {found.dead_letters} dead"
    yield _line("Messages", f"{text}; {found.mails} mails wait")
    yield _line("Version", found.version)


def _line(name: str, text: str) -> str:
    return f"{name:<16} {text}"


def _day(day: date) -> str:
    return day.isoformat()


def size(count: float) -> str:
    """Return a number of bytes for a person."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def span(left: timedelta) -> str:
    """Return a time for a person."""
    minutes = max(0, int(left.total_seconds() // 60))
    for unit, length in (("day", 1440), ("hour", 60)):
        if minutes >= 2 * length:
            return f"{minutes // length} {unit}s"
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def ago(now: datetime, at: datetime | None) -> str:
    """Return how long ago something was, for a person."""
    return f"{span(now - at)} ago" if at else "never"
