"""The database before an upgrade: written to a file, and brought back where the upgrade failed."""

import os
import shutil
from datetime import date
from pathlib import Path

from common import files
from tools.upgrading import queries
from tools.upgrading.command import Failed, Say, run

_POSTGRES = ("runuser", "-u", "postgres", "--")


def _psql(text: str, name: str = queries.NAME) -> list[str]:
    command = (*_POSTGRES, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", name, "-f", "-")
    return run(*command, given=text).splitlines()


def schema() -> list[str]:
    """Return the migrations that the database has. Raises Failed."""
    return _psql(queries.SCHEMA)


def support_until() -> date | None:
    """Return when the support contract ends; None: there is no licence. Raises Failed."""
    rows = _psql(queries.SUPPORT)
    return date.fromisoformat(rows[0]) if rows else None


def check_room(directory: Path) -> None:
    """Raise Failed where a copy of the database might not fit."""
    needed, free = int(_psql(queries.SIZE)[0]), shutil.disk_usage(directory).free
    if free < needed + (256 << 20):
        raise Failed(
            f"The database needs up to {needed >> 20:,} MB for its copy, and {directory} has"
            f" {free >> 20:,} MB: make room first."
        )


def dump(to: Path) -> None:
    """Write the database to a file, which is whole if it is there. Raises Failed."""
    part = to.with_suffix(".part")
    part.unlink(missing_ok=True)
    with part.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)  # it holds keys, if only wrapped ones
        try:
            run(*_POSTGRES, "pg_dump", "--format=custom", "--compress=1", queries.NAME, to=file)
            os.fsync(file.fileno())
        except (Failed, OSError) as error:
            part.unlink()  # what comes next needs the room
            raise Failed(f"The database could not be copied: {error}") from error
    part.rename(to)
    files.sync_directory(to.parent)


def restore(dump: Path, say: Say) -> None:
    """Put what a dump holds in the place of the database. Raises Failed.

    The other one is there until `clean`.
    """
    _psql(queries.MAKE_FRESH, "postgres")
    with dump.open("rb") as file:  # as root, since nobody else may read it
        command = ("pg_restore", "--exit-on-error", f"--dbname={queries.FRESH}")
        run(*_POSTGRES, *command, source=file, say=say)
    _psql(queries.DROP_OLD, "postgres")
    _psql(queries.SWAP, "postgres")


def carry_audit() -> None:
    """Add what was written into the audit log of the database before to that of the present one.

    Does nothing where there is none, or where that was done. Raises Failed.
    """
    if not _psql(queries.THERE, "postgres"):
        return
    _psql(queries.ALLOW, "postgres")
    after = int(_psql(queries.LAST_AUDIT)[0])
    entries = _psql(queries.copy_out(after), queries.OLD)
    if entries:
        _psql("\n".join([queries.COPY_IN, *entries, "\\.", ""]))


def clean(dump: Path) -> None:
    """Delete what an upgrade kept: keys of deleted recordings must not outlive them.

    Raises Failed.
    """
    dump.unlink(missing_ok=True)
    dump.with_suffix(".part").unlink(missing_ok=True)
    _psql(queries.DROP_OLD, "postgres")
