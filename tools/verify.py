"""Verifying: everything at a backup target is read and compared with what was noted when it was
written. Nothing is changed, and neither the box nor, without its recordings being heard, a key is
needed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import click
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from common import archive, keys, rowfile, seal
from common.errors import ArchiveError, CallStashError, ConfigError, KeyUnavailable
from common.rowfile import RowFile, RowsDamaged
from tools.listing import DumpUnreadable, Listed, Listing, rows

IDENTITY = "callstash-target.json"
OURS = {IDENTITY, "recordings", "catalogue", rowfile.DIRECTORY}
TOLERATED = (".", "@", "#", "lost+found")  # what file systems and NAS put everywhere
MARKS = {"COMPLETE", "SHA256SUMS"}
FORMAT = "%Y%m%dT%H%M%SZ"
DAYS = 30  # files with rows of a server that are looked at together
FETCHED, FETCHED_BYTES = 1000, 256 << 20  # files of a server that are looked at together
SLACK = timedelta(hours=1)  # what was stored shortly before a catalogue may be in the next one only
FOREIGN = 23  # rsync's status where some files could not be copied

Say = Callable[[str], None]


class TargetDamaged(CallStashError):
    """Something at a backup target is missing, altered or not known."""


class Verify:
    """Looks through one target, which is a directory or what rsync calls one on a server."""

    def __init__(self, target: str, rsh: str, say: Say, master: bytes | None = None) -> None:
        self._target = target.rstrip("/")
        self._is_remote = ":" in target.split("/", 1)[0]
        self._rsh = rsh
        self._say = say
        self._master = master
        self._companies: dict[int, UUID] = {}
        self._keys: dict[tuple[int, int], RSAPrivateKey] = {}
        self._rows: dict[str, list[RowFile]] = {}  # of each catalogue that says so
        self._brought: set[tuple[int, int]] = set()  # keys whose companies have the private half
        self.wrong: list[str] = []

    def run(self) -> None:
        """Say everything that is wrong, one line each; it is also in `wrong`. Raises ConfigError
        where the target can't be read.
        """
        with tempfile.TemporaryDirectory(prefix="callstash-verify-") as name:
            self._directory = Path(name)
            self._top()
            newest = self._catalogues()
            if newest is None:
                self._note("catalogue", "no catalogue is complete and whole: this is no backup")
                return
            self._files(newest)

    def _note(self, place: str, what: str) -> None:
        self.wrong.append(f"{place}: {what}")
        self._say(self.wrong[-1])

    def _top(self) -> None:
        names = {name for name, _ in self._list("", "--dirs")}
        for name in sorted(names - OURS):
            if not name.startswith(TOLERATED):
                self._note(name, "is not known")
        try:
            said = json.loads((self._fetch(IDENTITY) / IDENTITY).read_bytes())
            UUID(said["box"]), UUID(said["target"])
        except (OSError, ValueError, KeyError, TypeError):
            self._note(IDENTITY, "is missing or can't be read")

    def _catalogues(self) -> str | None:
        """Check every catalogue; return the newest that is whole, and keep its database."""
        newest = None
        for name, _ in sorted(self._list("catalogue", "--dirs"), reverse=True):
            try:
                datetime.strptime(name, FORMAT).replace(tzinfo=UTC)
            except ValueError:
                self._note(f"catalogue/{name}", "is not known")
                continue
            begun = len(self.wrong)
            place = self._fetch(f"catalogue/{name}")
            self._catalogue(name, place)
            if newest is None and len(self.wrong) == begun:
                newest = name
                shutil.copyfile(place / "db.dump", self._directory / "db.dump")
                self._counts = json.loads((place / "COUNTS").read_bytes())
        return newest

    def _catalogue(self, name: str, place: Path) -> None:
        try:
            sums = (place / "SHA256SUMS").read_bytes()
        except OSError:
            self._note(f"catalogue/{name}/SHA256SUMS", "is missing or can't be read")
            return
        try:
            mark = (place / "COMPLETE").read_bytes()
        except OSError:
            self._note(f"catalogue/{name}/COMPLETE", "is missing: it was not finished, or is cut")
        else:
            if mark != f"{name} {hashlib.sha256(sums).hexdigest()}\n".encode():
                self._note(
                    f"catalogue/{name}/COMPLETE", f"or catalogue/{name}/SHA256SUMS is damaged"
                )
        expected = {}
        for line in sums.decode(errors="replace").splitlines():
            digest, _, file = line.partition("  ")
            expected[file] = digest
        there = {path.name for path in place.iterdir()} - MARKS
        for file in sorted(there - expected.keys()):
            self._note(f"catalogue/{name}/{file}", "is not known")
        for file in sorted(expected):
            if file not in there:
                self._note(f"catalogue/{name}/{file}", "is missing")
            elif not (place / file).is_file() or _sha256(place / file) != expected[file]:
                self._note(f"catalogue/{name}/{file}", "is damaged")
            elif file == rowfile.LIST:
                self._rows[name] = rowfile.listed(place)

    def _days(self, listing: Listing, newest: str) -> set[str]:
        """Check every file with rows and list what those of the newest catalogue have; return the
        days of which that can't be known.
        """
        there = set()
        for name, _ in self._list(rowfile.DIRECTORY, "--recursive"):
            place = f"{rowfile.DIRECTORY}/{name}"
            if rowfile.named(place):
                there.add(place)
            elif not Path(name).name.startswith("."):
                self._note(place, "is not known")
        needed = {file.name for files in self._rows.values() for file in files}
        for name in sorted(needed - there):
            self._note(name, "is missing")
        lost = {f"{file.day:%Y/%m/%d}" for file in self._rows[newest] if file.name not in there}
        wanted = {file.name for file in self._rows[newest]}
        names = sorted(there)
        for start in range(0, len(names), DAYS):
            batch = names[start : start + DAYS]
            root = self._root("", batch)
            for name in batch:
                file = rowfile.named(name)
                assert file is not None
                if not rowfile.is_whole(root / name, file):
                    self._note(name, "is damaged")
                    lost.add(f"{file.day:%Y/%m/%d}")
                elif name in wanted:
                    listing.add(root / name)
        return lost

    def _files(self, newest: str) -> None:
        """Compare the recordings with the newest catalogue that is whole."""
        self._say(f"catalogue {newest}")
        dump = self._directory / "db.dump"
        try:
            listing = Listing(dump, self._directory)
            lost = self._days(listing, newest)
            counts = listing.join()
            if not lost and counts != self._counts:
                self._note(f"catalogue/{newest}", "its rows are not those that were counted")
            if self._master is not None:
                self._open(dump, self._master)
        except (DumpUnreadable, RowsDamaged, KeyUnavailable) as error:
            self._note(f"catalogue/{newest}", str(error))
            return
        written = datetime.strptime(newest, FORMAT).replace(tzinfo=UTC) - SLACK
        listing.find(
            (name, time) for name, time in self._list("recordings", "--recursive")
            if "/.partial/" not in name
        )  # fmt: skip
        for name in listing.missing():
            self._note(f"recordings/{name}", "is missing")
        for name in listing.unknown(written.strftime("%Y/%m/%d %H:%M:%S")):
            if not any(f"/{day}/" in name for day in lost):
                self._note(f"recordings/{name}", "is not known")
        whole = 0
        for batch in _batches(listing.present()):
            root = self._root("recordings", [one.name for one in batch])
            for one in batch:
                if what := self._file(root / one.name, one):
                    self._note(f"recordings/{one.name}", what)
                else:
                    whole += 1
        listing.close()
        opened = "" if self._master is None else " and were decrypted to their end"
        if self._brought:
            opened += ", but for those that only their company can open"
        self._say(f"{whole:,} recordings are as they were stored{opened}")

    def _file(self, path: Path, one: Listed) -> str:
        """Return what is wrong with a file."""
        try:
            if _sha256(path) != one.sha256.hex():
                return "is damaged"
            if self._master is None or (one.company, one.version) in self._brought:
                return ""
            cek = keys.unwrap(self._keys[one.company, one.version], one.ecek)
            with path.open("rb") as file:
                company = self._companies[one.company]
                reader = archive.Reader(file, cek, recording=one.id, company=company)
                for _ in reader.read_range(0, reader.size):
                    pass
        except OSError:
            return "can't be read"
        except KeyError:
            return "can't be opened: its company has no such key"
        except (ArchiveError, KeyUnavailable) as error:
            return f"can't be opened: {error}"
        return ""

    def _open(self, dump: Path, master: bytes) -> None:
        """Open the keys of the companies. Raises KeyUnavailable."""
        public = seal.public_key(master).hex()
        if ("master", public) not in rows(dump, "sealing_key", "name", "public_key"):
            raise KeyUnavailable("this master key is not the one of this backup")
        self._companies = {int(id): UUID(uid) for id, uid in rows(dump, "company", "id", "uid")}
        columns = ("company_id", "version", "kid", "private_sealed")
        for id, version, kid, sealed in rows(dump, "company_key", *columns):
            if sealed == "\\N":
                self._brought.add((int(id), int(version)))
            else:
                self._keys[int(id), int(version)] = keys.open_company_key(
                    master, bytes.fromhex(sealed), self._companies[int(id)], kid, int(version)
                )

    def _list(self, place: str, how: str) -> Iterator[tuple[str, str]]:
        """Yield what a directory at the target has, each with its time in UTC, without
        directories where it is looked through as a whole.
        """
        command = [*self._rsync(), "--list-only", "--no-human-readable", how]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                [*command, f"{self._target}/{place}/".replace("//", "/")],
                stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace",
                env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"},
            ) as process,
        ):  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                mode, _, day, time, name = line.rstrip("\n").split(None, 4)
                if name != "." and not (how == "--recursive" and mode.startswith("d")):
                    yield name, f"{day} {time}"
            if process.wait():
                errors.seek(0)
                said = next(iter(errors.read().strip().splitlines()), "it says nothing")
                raise ConfigError(f"rsync failed (status {process.returncode}): {said}")

    def _rsync(self) -> list[str]:
        return ["rsync", f"--rsh={self._rsh}"]

    def _fetch(self, place: str) -> Path:
        """Return a directory with a file, or with the files of a directory, of the target."""
        if not self._is_remote:
            path = Path(self._target, place)
            return path if path.is_dir() else path.parent
        got = self._clear()
        slash = "" if place == IDENTITY else "/"
        self._copy("--recursive", f"{self._target}/{place}{slash}", f"{got}/")
        return got

    def _root(self, place: str, batch: list[str]) -> Path:
        """Return a directory with files of a directory at the target in their places."""
        if not self._is_remote:
            return Path(self._target, place)
        got = self._clear()
        names = self._directory / "names"
        names.write_bytes(b"".join(os.fsencode(name) + b"\0" for name in batch))
        source = f"{self._target}/{place}/".replace("//", "/")
        self._copy("--from0", f"--files-from={names}", source, f"{got}/")
        return got

    def _clear(self) -> Path:
        got = self._directory / "got"
        shutil.rmtree(got, ignore_errors=True)
        got.mkdir()
        return got

    def _copy(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self._rsync(), *arguments], stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode not in (0, FOREIGN):
            said = next(iter(done.stderr.strip().splitlines()), "it says nothing")
            raise ConfigError(f"rsync failed (status {done.returncode}): {said}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _batches(files: Iterator[Listed]) -> Iterator[list[Listed]]:
    batch: list[Listed] = []
    size = 0
    for one in files:
        batch.append(one)
        size += one.size
        if len(batch) >= FETCHED or size >= FETCHED_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@click.command()
@click.argument("target")
@click.option(
    "--master-key", type=click.Path(dir_okay=False, path_type=Path),
    help="The recovery kit: decrypt every recording too.",
)  # fmt: skip
@click.option("--rsh", default="ssh", show_default=True, help="How rsync reaches a server.")
def verify(target: str, master_key: Path | None, rsh: str) -> None:
    """Check the whole backup at TARGET: a directory, or user@host:/path.

    Every catalogue, and every recording that the newest one lists, is read and compared with its
    hash. What is wrong is named, one line each.
    """
    master = None if master_key is None else keys.read_credential(master_key)
    work = Verify(target, rsh, click.echo, master)
    work.run()
    if work.wrong:
        raise TargetDamaged(f"{len(work.wrong):,} things are wrong at {target}")
