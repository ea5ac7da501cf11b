"""The licence: the housekeeper asks the vendor for it."""

import click

from common import commands, licence
from common.errors import ConfigError
from tools import console


@click.command()
@click.argument("code")
def activate(code: str) -> None:
    """Activate this CallStash with the 38 character code; the housekeeper must be running."""
    with console.database() as connection:
        with connection.transaction():
            arguments = {"code": licence.read_code(code)}
            command = commands.ask(
                connection, "housekeeper", "licence.activate", arguments, console.who()
            )
        answer = commands.wait(connection, command, commands.PATIENCE)
    if answer is None:
        raise ConfigError("the housekeeper does not answer: is callstash-housekeeper running?")
    if not answer.succeeded:
        raise licence.LicenceRefused(answer.answer)
    click.echo(answer.answer)
