"""`callstash export-keys`: what opens a company's archive files that are copied by hand."""

import os
from collections.abc import Iterator
from json import dumps
from pathlib import Path

import click

from common import files, keys, leaving, pkcs8, tables
from common.db import Connection
from common.errors import ConfigError
from common.leaving import Company, Wanted
from common.queries import leaving as queries
from common.store import Store
from tools import console
from tools.export import CREDENTIALS


def _private(
    db: Connection, company: Company, master: bytes, passphrase: str | None
) -> list[tuple[str, bytes]]:
    """Return the current private key of a company, and the older ones that are kept.

    What a company brought is not among them. Raises ConfigError where nothing else is there.
    """
    found = queries.company_keys(db, company.id)
    if not found:
        raise ConfigError(f"{company.name} has no key yet: nothing of it was archived")
    if all(one.private_sealed is None for one in found):
        raise ConfigError(
            f"{company.name} has a key of its own ({found[0].kid}), whose private half was never"
            " here: ask the company for it"
        )
    written: list[tuple[str, bytes]] = []
    for one in found:
        if one.private_sealed is None:
            click.echo(f"{company.name} itself has the private half of {one.kid}", err=True)
            continue
        key = keys.open_company_key(master, one.private_sealed, company.uid, one.kid, one.version)
        name = "private.key" if one is found[0] else f"{one.kid}.private.key"
        written.append((name, pkcs8.pem(key, passphrase)))
    return written


def _table(db: Connection, company: Company) -> Iterator[bytes]:
    yield tables.lines([leaving.COLUMNS]).encode()
    for one in queries.calls(db, company.id, Wanted()):
        file = Store.name(one.company_id, one.started_at, one.recording_id, one.generation)
        yield leaving.line(one, file, one.kid, one.ecek, one.file_sha256, one.file_size).encode()


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    """Write a new file that only its owner can read. Raises ConfigError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already: move it away, or name another --to") from error
    with os.fdopen(descriptor, "wb") as out:
        try:
            out.writelines(pieces)
            out.flush()
            os.fsync(descriptor)
        except BaseException:
            path.unlink()
            raise
    files.sync_directory(path.parent)


@click.command("export-keys")
@click.argument("url")
@click.option("--company", "name", required=True, help="Its name or label.")
@click.option("--mode", type=click.Choice(["keys", "private"]), default="keys", show_default=True)
@click.option("--plain", is_flag=True, help="Write the private key without a passphrase.")
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to make; by default NAME.keys in the current one.",
)
@CREDENTIALS
def export_keys(
    url: str, name: str, mode: str, plain: bool, directory: Path | None, credentials: Path | None
) -> None:
    """Write the eCEKs of the company NAME on the PBX at URL, or with --mode=private its key."""
    with console.database() as db:
        company = queries.company(db, name, url)
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in company.name).lstrip(".")
        content: list[tuple[str, Iterator[bytes]]]
        if mode == "private":
            master = console.credential(credentials, "master.key")
            secret = None if plain else console.passphrase("Passphrase for the private key")
            pems = _private(db, company, master, secret)
            content = [(f"{safe}.{end}", iter([pem])) for end, pem in pems]
            said = "Company private key written to: "
        else:
            content = [(f"{safe}.keys.csv", _table(db, company))]
            said = "Encrypted CEKs written to: "
        target = directory or Path(f"{safe}.keys")
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        detail = dumps({"mode": mode, "directory": str(target.resolve())})
        queries.audit(db, console.who(), "company.export_keys", f"company:{company.id}", detail)
        for file, pieces in content:
            _write(target / file, pieces)
            click.echo(f"{said}{target / file}")
