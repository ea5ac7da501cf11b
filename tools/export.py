"""`callstash export`: a company's recordings, to be opened for years without CallStash."""

from datetime import datetime, timedelta
from json import dumps
from pathlib import Path

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from common import keys, leaving
from common.errors import ConfigError
from common.playback import KeyRing
from common.queries import leaving as queries
from common.store import Store
from tools import console, signing
from tools.contents import Content, Encrypted, Wav
from tools.exporting import Export

DAY = click.DateTime(["%Y-%m-%d"])
CREDENTIALS = click.option(
    "--credentials", type=click.Path(file_okay=False, path_type=Path), help="Where the keys are."
)


def _public_key(path: Path) -> bytes:
    """Return a client's public key as DER. Raises ConfigError."""
    try:
        key = load_pem_public_key(path.read_bytes())
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: is not a public key in PEM") from error
    keys.wrap(der, bytes(keys.BITS // 96))  # says now what is wrong with it
    return der


def _content(credentials: Path | None, wav: bool, public: Path | None) -> Content:
    store = Store(console.settings().archive)
    if not wav and public is None:
        return Encrypted(store)
    ring = KeyRing(console.credential(credentials, "master.key"))
    return Wav(store, ring) if public is None else Encrypted(store, ring, _public_key(public))


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--company", "name", required=True, help="Its name or label.")
@click.option("--pbx", help="URL of its PBX, where the name is not enough.")
@click.option("--from", "since", type=DAY, help="First day of the calls.")
@click.option("--to", "until", type=DAY, help="Last day of the calls.")
@click.option("--number", help="Part of a number or name of one of the parties.")
@click.option("--wav", is_flag=True, help="Plain WAV files, which everybody can hear.")
@click.option(
    "--reencrypt-to",
    "public",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Public key (PEM) of the client: only they can open it.",
)
@CREDENTIALS
def export(
    directory: Path, name: str, pbx: str | None, since: datetime | None, until: datetime | None,
    number: str | None, wav: bool, public: Path | None, credentials: Path | None,
) -> None:  # fmt: skip
    """Write a company's recordings, with all that opens them but the private key, to DIRECTORY.

    Run it again after an interruption: it goes on.
    """
    if wav and public:
        raise ConfigError("--wav is plain: leave out --reencrypt-to")
    wanted = leaving.Wanted(
        since and since.astimezone(), until and (until + timedelta(1)).astimezone(), number
    )
    content = _content(credentials, wav, public)
    with console.database() as db:
        signer = signing.signer(db, credentials)
        company = queries.company(db, name, pbx)
        subject = f"company:{company.id}"
        detail = {"directory": str(directory.resolve()), "content": content.kind,
                  "from": since and f"{since:%Y-%m-%d}", "to": until and f"{until:%Y-%m-%d}",
                  "text": number, "to_key": public and str(public)}  # fmt: skip
        said = dumps({key: value for key, value in detail.items() if value})
        queries.audit(db, console.who(), "company.export", subject, said)
        work = Export(db, company, wanted, directory, content)
        try:
            missing = work.run(signer, click.echo)
        except OSError as error:
            raise ConfigError(
                f"{directory}: {error.strerror}: put that right and run it again, it goes on"
            ) from error
        done = dumps({"calls": work.calls, "left_out": missing})
        queries.audit(db, console.who(), "company.exported", subject, done)
    click.echo(f"{work.calls:,} calls, {work.bytes:,} bytes written to: {directory}")
    click.echo(f"Signed by this CallStash, key {signer.fingerprint}")
    if missing:
        raise ConfigError(f"{missing:,} calls were left out: see left_out in manifest.json")
