"""Keys that are replaced: a company's, and the master key. Stopped at any point, each goes on when
it is run again, and every recording opens meanwhile.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from common import backup, files, keys, passwords, seal
from common.db import Connection
from common.errors import ConfigError, KeyUnavailable
from common.queries import leaving
from tools import console, queries
from tools.export import CREDENTIALS

BATCH = 200  # content keys in a transaction: RSA takes some milliseconds for each
NEW = "master.key.new"
Say = Callable[[str], None]


@click.command("rotate-key")
@click.argument("url")
@click.option("--company", "name", required=True, help="Its name or label.")
@click.option(
    "--public-key", "brought", type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The company's own public key (PEM): what is archived from now on, only it can open.",
)  # fmt: skip
@CREDENTIALS
def rotate_key(url: str, name: str, brought: Path | None, credentials: Path | None) -> None:
    """Give the company NAME on the PBX at URL a new key.

    What is archived from now on is encrypted for it. The content keys of older recordings are
    wrapped with it too, unless the company brings the key; `callstash rewrap` goes on where that
    was stopped.
    """
    with console.database() as db:
        company = leaving.company(db, name, url)
        with db.transaction():
            queries.take_master(db)
            version = queries.retire_key(db, company.id)
            key = _brought(db, version, brought) if brought else _own(db, version, company.uid)
            queries.add_key(db, company.id, key)
            detail = {"kid": key.kid, "version": version, "brought": brought is not None}
            leaving.audit(
                db, console.who(), "company.new_key", f"company:{company.id}", json.dumps(detail)
            )
        click.echo(f"{company.name} has the key {key.kid} from now on")
        if brought is not None:
            click.echo("What is archived from now on can't be heard here: the company can open it.")
            return
        Rewrapper(db, console.credential(credentials, "master.key"), click.echo).run(company.id)


def _own(db: Connection, version: int, company: UUID) -> keys.CompanyKey:
    master = queries.master_key(db)
    if master is None:
        raise ConfigError("there is no master key: run 'callstash init'")
    return keys.generate_company_key(company, version, master)


def _brought(db: Connection, version: int, file: Path) -> keys.CompanyKey:
    key = keys.brought_key(version, file.read_bytes())
    if queries.is_known(db, key.kid):
        raise ConfigError(f"key {key.kid} is or was in use here: make a new one")
    return key


@click.command("rewrap")
@CREDENTIALS
def rewrap(credentials: Path | None) -> None:
    """Wrap the content keys of recordings with the current key of their company.

    Recordings themselves are not touched. Does nothing where nothing is to be done.
    """
    with console.database() as db:
        Rewrapper(db, console.credential(credentials, "master.key"), click.echo).run(None)


class Rewrapper:
    """Replaces what a retired key wraps, a batch at a time."""

    def __init__(self, db: Connection, master: bytes, say: Say) -> None:
        self._db = db
        self._master = master
        self._say = say

    def run(self, company: int | None) -> None:
        """Go through the retired keys, all or those of a company. Raises KeyUnavailable at the end
        where some content keys could not be opened, which stay as they are.
        """
        failed = sum(self._one(one) for one in queries.rewraps(self._db, company))
        if failed:
            raise KeyUnavailable(
                f"{failed:,} content keys can't be opened: run 'callstash verify' on the backup"
            )

    def _one(self, one: queries.Rewrap) -> int:
        private = keys.open_company_key(
            self._master, one.private_sealed, one.company_uid, one.kid, one.version
        )
        total, done, failed = queries.begin_rewrap(self._db, one), 0, 0
        after: UUID | None = None
        while True:
            with self._db.transaction():
                batch = queries.wrapped(self._db, one, after, BATCH)
                if not batch:
                    break
                after = batch[-1][0]
                new = []
                for recording, ecek in batch:
                    try:
                        cek = keys.unwrap(private, ecek)
                    except KeyUnavailable as error:
                        self._say(f"recording {recording}: {error}")
                        failed += 1
                    else:
                        new.append((recording, keys.wrap(one.public_key, cek)))
                queries.rewrap(self._db, one, new)
            done += len(new)
            self._say(f"{one.name}: {done:,} of {total:,} content keys")
        if queries.end_rewrap(self._db, one):
            self._say(f"{one.name}: nothing needs the key {one.kid} any more")
        return failed


@click.command("rotate-master")
@click.option("--credentials", required=True, type=click.Path(file_okay=False, path_type=Path))
def rotate_master(credentials: Path) -> None:
    """Replace the master key, and seal everything to the new one.

    The old key stays beside it: it opens the backups that were made until now.
    """
    with console.database() as db:
        if finish(db, credentials):
            click.echo("an earlier change of the master key is finished")
            return
        old = keys.read_credential(credentials / "master.key")
        if seal.public_key(old) != queries.master_key(db):
            raise ConfigError(f"{credentials}/master.key is the key of another CallStash")
        if not (credentials / NEW).exists():
            keys.write_credential(credentials, NEW, seal.generate()[0])
        new = seal.public_key(keys.read_credential(credentials / NEW))
        with db.transaction():
            queries.take_master(db)
            _reseal(db, old, new)
            queries.set_master(db, new)
            leaving.audit(db, console.who(), "master.new_key", "box", "{}")
        finish(db, credentials)
    click.echo("The master key is new. Restart the web UI now: systemctl restart callstash-web")
    click.echo(
        "Save the new recovery kit, master.key, and show that you have it: callstash check-kit"
    )


def finish(db: Connection, credentials: Path) -> bool:
    """Put the new master key in its place where everything is sealed to it already."""
    new, current = credentials / NEW, credentials / "master.key"
    if not new.exists() or seal.public_key(keys.read_credential(new)) != queries.master_key(db):
        return False
    kept = credentials / f"master.key.until-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    os.link(current, kept)
    new.replace(current)
    files.sync_directory(credentials)
    return True


def _reseal(db: Connection, old: bytes, new: bytes) -> None:
    """Seal all that was sealed to the master key to a new one. Raises KeyUnavailable."""
    for key in queries.sealed_keys(db):
        queries.reseal_key(
            db, key,
            keys.reseal_company_key(
                old, new, key.private_sealed, key.company_uid, key.kid, key.version
            ),
        )  # fmt: skip
    for name, sealed in queries.sealed_credentials(db):
        context = backup.credential(name)
        queries.reseal_credential(
            db, name, seal.seal(new, seal.unseal(old, sealed, context), context)
        )
    for account, sealed in queries.sealed_factors(db):
        context = passwords.factor(account)
        queries.reseal_factor(
            db, account, seal.seal(new, seal.unseal(old, sealed, context), context)
        )
