"""`callstash support`: the tunnel to the support server, when the web UI can't be used."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import psycopg

from common import keys, support
from common.errors import ConfigError
from common.queries import leaving
from tools import console

CREDENTIALS = Path("/etc/callstash/credentials")
KEY = "support_ssh"

_DIRECTORY = click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), default=support.DIRECTORY,
    hidden=True,
)  # fmt: skip


@click.group("support")
def remote_support() -> None:
    """Let the vendor's engineers reach this machine, for some hours, and see whether they can."""


def _note(action: str) -> None:
    """Write to the audit log; where the database is what is broken, support must go on."""
    try:
        with console.database() as db:
            leaving.audit(db, console.who(), action, "", "{}")
    except psycopg.OperationalError as error:
        click.echo(f"not in the audit log: {str(error).strip()}", err=True)


def _asked(action: str, done: Callable[[], bool], yes: str, no: str) -> None:
    if done():
        _note(action)
        click.echo(yes)
    else:
        click.echo(no)


@remote_support.command()
@_DIRECTORY
def connect(directory: Path) -> None:
    """Open the tunnel; it ends by itself after 8 hours."""
    _asked(
        "support.connect", lambda: support.connect(directory, console.who(), datetime.now(UTC)),
        "Remote support is being started: 'callstash support status' shows how it goes.",
        "Remote support is on already: 'callstash support status' shows how it goes.",
    )  # fmt: skip


@remote_support.command()
@_DIRECTORY
def disconnect(directory: Path) -> None:
    """End the tunnel and all sessions in it."""
    _asked(
        "support.disconnect", lambda: support.disconnect(directory),
        "Remote support ends now.", "Remote support was not on.",
    )  # fmt: skip


@remote_support.command()
@_DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def status(directory: Path, as_json: bool) -> None:
    """Show whether the tunnel is open, at which port, and how many sessions use it."""
    found = support.status(directory, datetime.now(UTC))
    if as_json:
        until = found.until.isoformat() if found.until else None
        known = {"state": found.state, "port": found.port, "sessions": found.sessions,
                 "until": until, "text": found.text}  # fmt: skip
        click.echo(json.dumps(known))
        return
    click.echo(f"Remote support: {found.state.capitalize()}")
    if found.text:
        click.echo(found.text)
    if found.port is not None:
        click.echo(f"Port: {found.port}\nOpen sessions: {found.sessions}")
    if found.until is not None:
        click.echo(f"Ends by itself: {found.until:%d %b %Y, %H:%M} UTC")


def make_key(credentials: Path) -> None:
    """Make the key with which this machine logs in to the support server, where it is missing."""
    if not (credentials / KEY).exists():
        keys.write_secret(credentials, KEY, keys.generate_ssh_key("")[0])


@remote_support.command()
@click.option(
    "--credentials", type=click.Path(file_okay=False, path_type=Path), default=CREDENTIALS,
    show_default=True,
)  # fmt: skip
def key(credentials: Path) -> None:
    """Show the public key of this machine for the support server; make the pair, if missing."""
    file = credentials / KEY
    try:
        make_key(credentials)
        click.echo(f"{keys.ssh_public_key(file.read_bytes())} callstash-support")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: put that right and try again") from error
