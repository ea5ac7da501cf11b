"""The console tools that set CallStash up: schema, keys, PBXs, passwords.

They run as the owner of the database (root on an appliance), never as a daemon.
"""

import hashlib
import os
import socket
import sys
from datetime import time
from pathlib import Path

import click
import psycopg

from common import (
    __version__,
    backup,
    commands,
    config,
    db,
    journal,
    keys,
    licence,
    outbox,
    passwords,
    pbx,
    pbx_registry,
    seal,
)
from common.errors import CallStashError, ConfigError
from common.messages import PollerPollNow
from common.pbx_registry import NewPbx
from tools import setup
from tools.certificate import certificate, set_cert
from tools.console import Settings
from tools.console import database as _database
from tools.evidence import evidence
from tools.export import export
from tools.export_keys import export_keys
from tools.kit import check_kit
from tools.restore import Restore
from tools.rotate import finish, rewrap, rotate_key, rotate_master
from tools.status import status
from tools.support import remote_support
from tools.support_bundle import support_bundle
from tools.upgrade import upgrade
from tools.verify import verify
from tools.verify_evidence import verify_evidence

ACCOUNTS = ("sysadmin", "admin")


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"callstash: {error}", err=True)
            sys.exit(78)
        except CallStashError as error:
            click.echo(f"callstash: {error}", err=True)
            sys.exit(1)
        except psycopg.OperationalError as error:
            text = " ".join(str(error).split())
            click.echo(f"callstash: PostgreSQL does not answer: {text}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
@click.version_option(__version__)
def cli() -> None:
    """Set up and look after CallStash from the console.

    \b
    How is it?             callstash status
    Log in anew            callstash resetpwd sysadmin
    Ask a PBX now          callstash poll-now 10
    Ask the vendor         callstash support-bundle bundle.tar.gz
    About one command      callstash status --help

    Exit status: 0 done, 1 not done, for the reason that is said, 2 used wrongly, 78 the
    configuration or a key has to be put right first. A command that has others says so in its
    --help.
    """
    journal.setup()


cli.add_command(setup.command)


@cli.command()
def migrate() -> None:
    """Bring the database to the schema of this release."""
    with _database() as connection:
        for name in db.migrate(connection):
            click.echo(f"applied {name}")


@cli.command()
@click.option("--credentials", required=True, type=click.Path(file_okay=False, path_type=Path))
def init(credentials: Path) -> None:
    """Make the keys (master, PBX tokens, mail, backup) and the accounts, where they are missing."""
    with _database() as connection:
        finish(connection, credentials)  # a change of the master key that was cut off
        for name in ("master", "pbx", "mail", "backup"):
            with connection.transaction():
                connection.execute("LOCK TABLE sealing_key IN EXCLUSIVE MODE")
                known = connection.execute(
                    "SELECT public_key FROM sealing_key WHERE name = %s", [name]
                ).fetchone()
                file = credentials / f"{name}.key"
                if not known and not file.exists():
                    keys.write_credential(credentials, file.name, seal.generate()[0])
                    click.echo(f"made {file}")
                if not file.exists():
                    raise ConfigError(f"{file} is missing: restore it from the recovery kit")
                public = seal.public_key(keys.read_credential(file))
                if known and known[0] != public:
                    raise ConfigError(f"{file} is the key of another CallStash")
                if not known:  # also where a killed run wrote the file and not the row
                    connection.execute(
                        "INSERT INTO sealing_key (name, public_key) VALUES (%s, %s)", [name, public]
                    )
        _ssh_key(connection, credentials / "backup_ssh")
        _signing_key(connection, credentials / "sign.key")
        _seal_credentials(connection, credentials)
        for account in ACCOUNTS:
            if passwords.set_factory(connection, account, only_if_missing=True):
                click.echo(f"made the account {account} with the factory password")


def _ssh_key(connection: db.Connection, file: Path) -> None:
    """Make the key with which the box logs in to a backup server, where it is missing."""
    known = connection.execute("SELECT public_key FROM ssh_key").fetchone()
    if not known and not file.exists():
        keys.write_secret(file.parent, file.name, keys.generate_ssh_key("")[0])
        click.echo(f"made {file}")
    if not file.exists():
        raise ConfigError(f"{file} is missing: restore it from the recovery kit")
    line = f"{keys.ssh_public_key(file.read_bytes())} callstash@{socket.gethostname()}"
    if known and str(known[0]).split()[:2] != line.split()[:2]:
        raise ConfigError(f"{file} is the key of another CallStash")
    connection.execute(
        "INSERT INTO ssh_key (public_key) VALUES (%s) ON CONFLICT DO NOTHING", [line]
    )


def _signing_key(connection: db.Connection, file: Path) -> None:
    """Make the key with which the box signs exports, where it is missing."""
    known = connection.execute("SELECT public_key FROM signing_key").fetchone()
    if not known and not file.exists():
        keys.write_credential(file.parent, file.name, os.urandom(32))
        click.echo(f"made {file}")
    if not file.exists():
        raise ConfigError(f"{file} is missing: restore it from the recovery kit")
    public = keys.signing_public_key(keys.read_credential(file))
    if known and bytes(known[0]) != public:
        raise ConfigError(f"{file} is the key of another CallStash")
    if not known:
        connection.execute("INSERT INTO signing_key (public_key) VALUES (%s)", [public])
        click.echo(f"exports are signed with key {hashlib.sha256(public).hexdigest()}")


def _seal_credentials(connection: db.Connection, credentials: Path) -> None:
    """Keep the daemons' keys in the database, sealed to the master key, for a restore."""
    master = seal.public_key(keys.read_credential(credentials / "master.key"))
    for name in ("pbx.key", "mail.key", "backup.key", "backup_ssh", "sign.key"):
        sealed = seal.seal(master, (credentials / name).read_bytes(), backup.credential(name))
        connection.execute(
            "INSERT INTO sealed_credential VALUES (%s, %s) ON CONFLICT DO NOTHING", [name, sealed]
        )


@cli.command("restore")
@click.argument("target")
@click.option("--master-key", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--credentials", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--rsh", default="ssh", show_default=True, help="How rsync reaches a server.")
def restore_backup(target: str, master_key: Path, credentials: Path, rsh: str) -> None:
    """Bring the CallStash back whose backup is at TARGET: a directory, or user@host:/path.

    The database must be empty. --master-key names the recovery kit; the keys of the daemons are
    written to --credentials.
    """
    settings = config.load("tools", Settings)
    master = keys.read_credential(master_key)
    with _database() as connection:
        dsn = f"{settings.database} user={settings.owner}"
        work = Restore(target, rsh, connection, dsn, click.echo)
        if work.run(master, credentials, settings.archive):
            raise ConfigError("not all recordings are back: the housekeeper fetches what it can")


cli.add_command(verify)


@cli.command("add-pbx")
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
    with _database() as connection, connection.transaction():
        added = pbx_registry.add(connection, new, token)
        if added is None:
            raise ConfigError(f"{address} is already there")
    names = ", ".join(company.name for company in identity.companies)
    click.echo(f"PBX {added} added; companies: {names or 'none yet'}")


@cli.command("poll-now")
@click.argument("pbx_id", type=int)
def poll_now(pbx_id: int) -> None:
    """Poll the PBX with this id as soon as its running poll ends."""
    with _database() as connection, connection.transaction():
        if not connection.execute("SELECT 1 FROM pbx WHERE id = %s", [pbx_id]).fetchone():
            raise ConfigError(f"there is no PBX {pbx_id}")
        outbox.send(connection, PollerPollNow(pbx_id, os.environ.get("SUDO_USER", "console")))


@cli.command()
@click.argument("account", type=click.Choice(ACCOUNTS))
def passwd(account: str) -> None:
    """Set the password of a web administrator; it is read from standard input."""
    stdin = click.get_text_stream("stdin")
    password = (
        click.prompt("New password", hide_input=True)
        if stdin.isatty()
        else stdin.readline().rstrip("\n")
    )
    with _database() as connection:
        passwords.set_password(connection, account, password)
    click.echo(f"the password of {account} is set")


@cli.command()
@click.argument("account", type=click.Choice(ACCOUNTS))
def resetpwd(account: str) -> None:
    """Set a web administrator back to the factory password, without a second factor."""
    with _database() as connection, connection.transaction():
        passwords.set_factory(connection, account)
        connection.execute(
            "INSERT INTO audit (actor, action, subject) VALUES (%s, 'account.reset', %s)",
            [f"console:{os.environ.get('SUDO_USER', 'root')}", f"account:{account}"],
        )
    click.echo(
        f"{account} has the password '{passwords.FACTORY}' again, which only opens the page that"
        " sets another. All its sessions are ended and its second factor is off."
    )


@cli.command()
@click.argument("code")
def activate(code: str) -> None:
    """Activate this CallStash with the 38 character code; the housekeeper must be running."""
    by = f"console:{os.environ.get('SUDO_USER', 'root')}"
    with _database() as connection:
        with connection.transaction():
            arguments = {"code": licence.read_code(code)}
            command = commands.ask(connection, "housekeeper", "licence.activate", arguments, by)
        answer = commands.wait(connection, command, commands.PATIENCE)
    if answer is None:
        raise ConfigError("the housekeeper does not answer: is callstash-housekeeper running?")
    if not answer.succeeded:
        raise licence.LicenceRefused(answer.answer)
    click.echo(answer.answer)


cli.add_command(check_kit)
cli.add_command(certificate)
cli.add_command(set_cert)
cli.add_command(evidence)
cli.add_command(export)
cli.add_command(remote_support)
cli.add_command(export_keys)
cli.add_command(rewrap)
cli.add_command(rotate_key)
cli.add_command(rotate_master)
cli.add_command(status)
cli.add_command(support_bundle)
cli.add_command(upgrade)
cli.add_command(verify_evidence)
