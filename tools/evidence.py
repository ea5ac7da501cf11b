"""`callstash evidence`: one or a few calls with all that proves them, in a directory."""

import os
import shutil
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from uuid import UUID

import click

from common import evidence as packing
from common import files
from common.errors import CallStashError, ConfigError
from common.evidence import Pack
from common.playback import KeyRing
from common.queries import leaving
from common.store import Store
from tools import console, signing
from tools.export import CREDENTIALS


def _write(pack: Pack, calls: list[packing.Known], directory: Path) -> None:
    """Write a pack; a directory of that name is there only once it is whole."""
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for name, pieces in pack.parts(calls, datetime.now(UTC)):
            path = part / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.writelines(pieces)
                out.flush()
                os.fsync(descriptor)
        part.rename(directory)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigError(f"{directory}: {error.strerror}: put that right and try again") from error
    except CallStashError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    files.sync_directory(directory.parent)


@click.command()
@click.argument("calls", nargs=-1, type=click.UUID, required=True)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@CREDENTIALS
def evidence(calls: tuple[UUID, ...], directory: Path, credentials: Path | None) -> None:
    """Write calls as evidence, in clear and signed, to DIRECTORY: CALL is the id on its page."""
    if directory.exists():
        raise ConfigError(f"{directory} is there already: name a new directory")
    ring = KeyRing(console.credential(credentials, "master.key"))
    with console.database() as db:
        signer = signing.signer(db, credentials)
        known = []
        for call in dict.fromkeys(calls):
            one = packing.known(db, call)
            if one is None:
                raise ConfigError(f"there is no stored call {call}: its page shows its id")
            known.append(one)
        for one in known:
            leaving.audit(
                db, console.who(), "recording.evidence", f"recording:{one.call.recording_id}",
                dumps({"directory": str(directory.resolve())}),
            )  # fmt: skip
        pack = Pack(Store(console.settings().archive), ring, signer, leaving.box(db))
        _write(pack, known, directory.resolve())
    click.echo(f"{len(known)} calls written to: {directory}")
    click.echo(f"Signed by this CallStash, key {signer.fingerprint}")
