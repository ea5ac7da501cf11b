"""The PBXs that are polled."""

import os
from datetime import time

import click

from common import outbox, pbx, pbx_registry
from common.errors import ConfigError
from common.messages import PollerPollNow
from common.pbx_registry import NewPbx
from tools import console


@click.command("add-pbx")
@click.argument("url")
@click.option("--name", required=True, help="What people call it.")
@click.option(
    "--period",
    type=click.Choice(["30", "60", "360", "1440"]),
    default="1440",
    show_default=True,
    help="Minutes between polls.",
)
@click.option("--at", default="03:00", show_default=True, help="Time of day of a daily poll.")
@click.option(
    "--timezone", default="Europe/London", show_default=True, help="Zone of the PBX's clock."
)
@click.option(
    "--pin", is_flag=True, help="Accept the certificate that the PBX shows now, and only that."
)
def add_pbx(url: str, name: str, period: str, at: str, timezone: str, pin: bool) -> None:
    """Add the PBX at URL; its API token is read from standard input and checked before anything is
    saved.
    """
    address = pbx_registry.address(url)
    token = click.get_text_stream("stdin").readline().strip()
    if not token:
        raise ConfigError("no token: give the PBX's API token on standard input")
    certificate = pbx.fetch_certificate(address) if pin else None
    with pbx.connect(
        "ipcortex", address, token=token, certificate=certificate, timezone=timezone
    ) as connector:
        identity = connector.verify()
    new = NewPbx(name, address, certificate, timezone, int(period), time.fromisoformat(at))
    with console.database() as connection, connection.transaction():
        added = pbx_registry.add(connection, new, token)
        if added is None:
            raise ConfigError(f"{address} is already there")
    names = ", ".join(company.name for company in identity.companies)
    click.echo(f"PBX {added} added; companies: {names or 'none yet'}")


@click.command("poll-now")
@click.argument("pbx_id", type=int)
def poll_now(pbx_id: int) -> None:
    """Poll the PBX with this id as soon as its running poll ends."""
    with console.database() as connection, connection.transaction():
        if not connection.execute("SELECT 1 FROM pbx WHERE id = %s", [pbx_id]).fetchone():
            raise ConfigError(f"there is no PBX {pbx_id}")
        outbox.send(connection, PollerPollNow(pbx_id, os.environ.get("SUDO_USER", "console")))
