"""The recovery kit: whoever has it can restore, so somebody must prove now and then to have it."""

import base64
import binascii
from typing import TextIO

import click

from common import seal
from common.errors import ConfigError
from common.queries import leaving
from tools import console, queries


@click.command("check-kit")
@click.argument("file", type=click.File("r"), default="-")
def check_kit(file: TextIO) -> None:
    """Check the recovery kit, given as FILE or typed in: the copy that you keep elsewhere.

    It is the content of master.key. It is compared and not kept; CallStash notes that you have it,
    and asks again after a year.
    """
    if file.name == "<stdin>" and file.isatty():
        text = str(click.prompt("Recovery kit", hide_input=True))
    else:
        text = file.read(1000)
    try:
        secret = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("this is no recovery kit: it is 44 letters, digits and signs") from error
    if len(secret) != 32:
        raise ConfigError("this is no recovery kit, or a part is missing: it is 44 characters")
    with console.database() as db, db.transaction():
        if seal.public_key(secret) != queries.master_key(db):
            raise ConfigError(
                "this is the recovery kit of another CallStash, or an old one: save master.key anew"
            )
        queries.kit_read(db, seal.public_key(secret), console.who())
        leaving.audit(db, console.who(), "kit.checked", "box", "{}")
    click.echo(
        "This is the recovery kit of this CallStash. Keep it where a fire here does not reach."
    )
