"""The database of this release, and the keys and accounts of this CallStash."""

import hashlib
import os
import socket
from pathlib import Path

import click

from common import backup, db, keys, passwords, seal
from common.errors import ConfigError
from tools import console
from tools.accounts import ACCOUNTS
from tools.rotate import finish


@click.command()
def migrate() -> None:
    """Bring the database to the schema of this release."""
    with console.database() as connection:
        for name in db.migrate(connection):
            click.echo(f"applied {name}")


@click.command()
@click.option("--credentials", required=True, type=click.Path(file_okay=False, path_type=Path))
def init(credentials: Path) -> None:
    """Make the keys (master, PBX tokens, mail, backup) and the accounts, where they are missing."""
    with console.database() as connection:
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
