"""`callstash upgrade`: looks for a newer version and installs it, when the web UI can't be used."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from common import upgrade as files
from common.errors import ConfigError
from common.queries import leaving
from common.upgrade import DONE, REFUSED, START, Run
from tools import console
from tools.upgrading import __main__ as upgrading
from tools.upgrading import repository

PAUSE = 0.2
FAILED, NOT_BEGUN = 1, 2


@click.group("upgrade")
def upgrade() -> None:
    """Look for a newer version of CallStash, install it, and see how that went."""


def _look() -> tuple[files.Checked, str]:
    """Return what the repository offers, and why it may not be installed now."""
    if os.geteuid() != 0:
        raise ConfigError("only root can look for upgrades")
    if files.running():
        now = datetime.now(UTC).isoformat()
        text = "An upgrade is running: 'callstash upgrade log' shows how far it is."
        return files.Checked(now, repository.installed(), None, None), text
    with upgrading.alone():
        found = upgrading.look()
    return found, upgrading.refusal(found)


@upgrade.command()
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def check(as_json: bool) -> None:
    """Ask the repository for a newer version, and say whether it may be installed."""
    found, reason = _look()
    if as_json:
        known = {"installed": found.installed, "available": found.available,
                 "allowed": not reason, "reason": reason}  # fmt: skip
        click.echo(json.dumps(known))
        return
    click.echo(f"Installed: {found.installed or 'not from a package'}")
    click.echo(f"Available: {found.available or 'nothing newer'}")
    click.echo(reason or "'callstash upgrade start' installs it.")


@upgrade.command()
@click.option("--follow", is_flag=True, help="Show the log until it is over.")
@click.pass_context
def start(context: click.Context, follow: bool) -> None:
    """Install the newer version, while nobody can use CallStash; a failure is undone.

    Exit status: 0 when it runs (without --follow: when it was begun), 1 when it failed and the
    version before runs again, 2 when there was nothing to do or no support contract.
    """
    _found, reason = _look()
    if reason:
        click.echo(reason, err=True)
        context.exit(NOT_BEGUN)
    request = files.ask(START, console.who(), datetime.now(UTC))
    if request is None:
        click.echo("An upgrade is asked for already.", err=True)
        context.exit(NOT_BEGUN)
    with console.database() as db:
        leaving.audit(db, console.who(), "upgrade.start", "", "{}")
    subprocess.run(["systemctl", "--no-block", "start", "callstash-upgrade.service"], check=False)
    if not follow:
        click.echo("The upgrade begins: 'callstash upgrade log' shows how it goes.")
        return
    run = _follow(request.id)
    if run.outcome == REFUSED:
        click.echo(run.text, err=True)
        context.exit(NOT_BEGUN)
    click.echo(run.text)
    context.exit(0 if run.outcome == DONE else FAILED)


def _follow(name: str) -> Run:
    """Show the log of an upgrade as it grows, and return how it ended."""
    record = files.DIRECTORY / "runs" / f"{name}.json"
    shown = 0
    while True:
        over = files.read(record, Run)
        shown += _show(record.with_suffix(".log"), shown)
        if over:
            return over
        time.sleep(PAUSE)


def _show(log: Path, start: int) -> int:
    """Print what has been added to a log, and return how many bytes that was."""
    if not log.exists():
        return 0
    with log.open("rb") as file:
        file.seek(start)
        added = file.read()
    click.echo(added, nl=False)
    return len(added)


@upgrade.command()
def log() -> None:
    """Show the log of the upgrade that runs, or of the last one."""
    running = files.running()
    over = files.runs()
    name = str(running["id"]) if running else over[0].id if over else ""
    click.echo(files.log(name), nl=False)
    if not running:
        click.echo(over[0].text if over else "There has been no upgrade.")
