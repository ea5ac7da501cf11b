"""The accounts of the web administrators."""

import click

from common import passwords
from tools import console

ACCOUNTS = ("sysadmin", "admin")


@click.command()
@click.argument("account", type=click.Choice(ACCOUNTS))
def passwd(account: str) -> None:
    """Set the password of a web administrator; it is read from standard input."""
    stdin = click.get_text_stream("stdin")
    password = (
        click.prompt("New password", hide_input=True)
        if stdin.isatty()
        else stdin.readline().rstrip("\n")
    )
    with console.database() as connection:
        passwords.set_password(connection, account, password)
    click.echo(f"the password of {account} is set")


@click.command()
@click.argument("account", type=click.Choice(ACCOUNTS))
def resetpwd(account: str) -> None:
    """Set a web administrator back to the factory password, without a second factor."""
    with console.database() as connection, connection.transaction():
        passwords.set_factory(connection, account)
        connection.execute(
            "INSERT INTO audit (actor, action, subject) VALUES (%s, 'account.reset', %s)",
            [console.who(), f"account:{account}"],
        )
    click.echo(
        f"{account} has the password '{passwords.FACTORY}' again, which only opens the page that"
        " sets another. All its sessions are ended and its second factor is off."
    )
