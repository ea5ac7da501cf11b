"""Catalogues: what is in one besides its rows, and which are kept."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from common import __version__

COUNTS = "COUNTS"  # what the catalogue lists: recordings and bytes
DAILY, WEEKLY, MONTHLY = 14, 8, 24  # catalogues that are kept
FORMAT = "%Y%m%dT%H%M%SZ"
RESTORE = """\
# A catalogue of a CallStash

`db.dump` is the database in PostgreSQL's custom format, without the rows of recordings: those are
in the files that `ROWS` lists, one for each day, with their hashes (`sha256sum -c catalogue/*/ROWS`
two directories above). All of them were read at one instant, when every recording that they list
was in `../../recordings`. On an empty machine, with CallStash {version} or newer installed:

    callstash restore TARGET --master-key FILE

TARGET is the directory above `catalogue`, as rsync names it (`/mnt/backup` or `user@host:/path`).
FILE is the recovery kit: without it nobody can hear a recording. A directory here without a file
COMPLETE was not finished; leave it alone.

By hand: `pg_restore --section=pre-data --section=data`, then `zcat FILE | psql` for each file of
`ROWS`, then `pg_restore --section=post-data`.
"""


def describe(made: Path) -> Iterator[None]:
    """Write what a catalogue says of itself, and the hashes of all that is in it."""
    (made / "VERSION").write_text(f"{__version__}\n")
    (made / "RESTORE.md").write_text(RESTORE.format(version=__version__))
    sums = []
    for path in sorted(made.iterdir()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        sums.append(f"{digest.hexdigest()}  {path.name}\n")
        yield
    (made / "SHA256SUMS").write_text("".join(sums))


def mark(name: str, made: Path) -> str:
    """Return what stands in COMPLETE."""
    return f"{name} {hashlib.sha256((made / 'SHA256SUMS').read_bytes()).hexdigest()}\n"


def kept(names: Iterable[str]) -> set[str]:
    """Return the catalogues that are kept: the newest of each of the last days, weeks and months
    that have one. A name that is none of ours is left alone.
    """
    left, days = set(), {}
    for name in sorted(names):
        try:
            days[name] = datetime.strptime(name, FORMAT).replace(tzinfo=UTC)
        except ValueError:
            left.add(name)
    for count, period in ((DAILY, "%Y%m%d"), (WEEKLY, "%G%V"), (MONTHLY, "%Y%m")):
        newest = {at.strftime(period): name for name, at in days.items()}
        left |= {newest[key] for key in sorted(newest)[-count:]}
    return left
