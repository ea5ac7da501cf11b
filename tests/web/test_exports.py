"""Exports from the web UI: prepared in the background, fetched in parts, like the console's."""

import io
import json
import os
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask

from common import exports as shared
from common import keys, seal
from common.db import Connection
from common.exports import LARGEST, File, Member
from common.leaving import Signer
from common.queries import leaving
from daemons.housekeeper import exports
from daemons.housekeeper.exports import Exports
from tests.quiet import Quiet, working
from tests.web.browser import Browser
from tests.web.building import SIGNING, Archive, tone
from tests.web.bundles import PASSPHRASE, export
from tests.web.test_pages import words
from tests.web.world import World
from webui.bundle import CENTRAL, LOCAL, ArchiveAway, Bundle

SIGNER = Signer(SIGNING, keys.signing_public_key(SIGNING))
MADE_LATER = {"manifest.json", "manifest.sig"}  # they say when


class Side:
    """The housekeeper's exports, with a clock that can be moved."""

    def __init__(self, archive: Archive, db: Connection) -> None:
        self.directory = archive.store.root.parent / "exports"
        self.offset = timedelta()
        self.is_there = True
        self._store, self._db = archive.store, db
        self.start()

    def start(self) -> None:
        """Begin as after a kill: nothing is known but what is written."""
        self.exports = Exports(
            self._db, self._store, self.directory, lambda: datetime.now(UTC) + self.offset,
            lambda: self.is_there,
        )  # fmt: skip

    def turn(self, _life: object = None) -> bool:
        return self.exports.turn(Quiet())  # type: ignore[arg-type]

    def prepare(self) -> None:
        while self.turn():
            pass


@pytest.fixture
def side(archive: Archive, connect_as: Callable[[str], psycopg.Connection[Any]]) -> Side:
    return Side(archive, connect_as("housekeeper"))


def ask(sysadmin: Browser, side: Side, company: int, **fields: str) -> str:
    """Send the form, with a housekeeper that answers; return the page that comes."""
    address = f"/companies/{company}/exports"
    with working(side.turn):
        answer = sysadmin.post(address, page=address, **fields)
    if answer.status_code == 303:
        return sysadmin.get(address).text  # with the notice
    return words(answer.text)


def archive_of(sysadmin: Browser, company: int) -> str:
    """Return the address of the archive that the page offers."""
    page = sysadmin.get(f"/companies/{company}/exports").text
    return page.partition('/archive.zip"')[0].rpartition('"')[2] + "/archive.zip"


def test_an_export_is_prepared_fetched_and_is_what_the_console_makes(
    sysadmin: Browser, archive: Archive, side: Side, tmp_path: Path,
    audit: Callable[[], list[Any]], mail: bytes, db: Connection,
) -> None:  # fmt: skip
    db.execute("UPDATE general_settings SET recipients = '{it@example.com,law@example.com}'")
    company = archive.company()
    sent = dict(archive.stored(company, tone(seconds)) for seconds in (1, 5, 2.042))
    asked = f"/companies/{company}/exports"
    assert asked in sysadmin.get(f"/companies/{company}").text
    assert "An export of 3 calls is being prepared" in ask(sysadmin, side, company)
    side.prepare()
    page = words(sysadmin.get(asked).text)
    assert "ready, to be fetched until" in page
    answer = sysadmin.get(archive_of(sysadmin, company))
    assert answer.headers["Content-Type"] == "application/zip"
    assert 'filename="Harbour Legal' in answer.headers["Content-Disposition"]
    file = tmp_path / "export.zip"
    file.write_bytes(answer.data)
    assert len(answer.data) == int(answer.headers["Content-Length"])
    subprocess.run(["unzip", "-q", file, "-d", tmp_path / "web"], check=True)
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
    console = export_of_console(archive, company, tmp_path, db)
    ours = {str(path.relative_to(tmp_path / "web")): path.read_bytes()
            for path in (tmp_path / "web").rglob("*") if path.is_file()}  # fmt: skip
    theirs = {str(path.relative_to(console.directory)): path.read_bytes()
              for path in console.directory.rglob("*") if path.is_file()}  # fmt: skip
    assert theirs.pop(".export.json")
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} <= MADE_LATER
    told, known = (json.loads(one["manifest.json"]) for one in (ours, theirs))
    assert {key for key in known if told[key] != known[key]} <= {"made_at"}
    done = subprocess.run(
        ["python3", "decrypt.py", console.key, "audio"], cwd=tmp_path / "web", check=True,
        input=f"{PASSPHRASE}\n", text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0
    for call, audio in sent.items():
        assert (tmp_path / "web/audio" / f"{call}.wav").read_bytes() == audio
    acts = [(actor, action) for actor, action, _ in audit() if "export" in action]
    assert acts[:3] == [
        ("sysadmin", "company.export"), ("housekeeper", "company.exported"),
        ("sysadmin", "export.fetch"),
    ]  # fmt: skip
    letters = db.execute("SELECT recipient, sealed, id FROM mail WHERE kind = 'export'").fetchall()
    assert {row[0] for row in letters} == {"it@example.com", "law@example.com"}
    said = json.loads(seal.unseal(mail, letters[0][1], b"mail\0" + letters[0][2].bytes))
    assert said["title"] == "The export of Harbour Legal is ready"


def export_of_console(archive: Archive, company: int, directory: Path, db: Connection) -> Any:
    db.execute("DELETE FROM signing_key")
    return export(archive, company, directory)


def test_a_download_goes_on_where_it_stopped(
    sysadmin: Browser, archive: Archive, side: Side
) -> None:
    company = archive.company()
    for seconds in (1, 5, 2.042, 30):
        archive.stored(company, tone(seconds))
    ask(sysadmin, side, company)
    side.prepare()
    address = archive_of(sysadmin, company)
    whole = sysadmin.get(address)
    size, tag = len(whole.data), whole.headers["ETag"]
    some = random.Random(5)
    cuts = sorted({0, size, *(some.randrange(size) for _ in range(60))})
    pieces = []
    for start, stop in zip(cuts, cuts[1:], strict=False):
        answer = sysadmin.get(address, Range=f"bytes={start}-{stop - 1}", If_Range=tag)
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
        pieces.append(answer.data)
    assert b"".join(pieces) == whole.data
    other = sysadmin.get(address, Range="bytes=5-9", If_Range='"another"')
    assert (other.status_code, other.data) == (200, whole.data)
    assert sysadmin.get(address, Range=f"bytes={size}-").status_code == 416
    head = sysadmin.ask("HEAD", address)
    assert (int(head.headers["Content-Length"]), head.data) == (size, b"")


def test_when_the_housekeeper_is_killed_then_it_goes_on_without_a_gap(
    sysadmin: Browser, archive: Archive, side: Side, monkeypatch: pytest.MonkeyPatch, db: Connection
) -> None:
    monkeypatch.setattr(exports, "BURST", 1)
    company = archive.company()
    calls = {archive.stored(company, tone(1), callee=f"{n}")[0] for n in range(7)}
    assert "An export of 7 calls" in ask(sysadmin, side, company)
    while side.turn():
        directory = next(side.directory.iterdir())
        for name in ("members", "calls.csv"):  # written, but not yet noted
            with (directory / name).open("ab") as file:
                file.write(b"killed here")
        side.start()
    opened = zipfile.ZipFile(io.BytesIO(sysadmin.get(archive_of(sysadmin, company)).data))
    assert opened.testzip() is None
    listed = [Path(name).stem for name in opened.namelist() if name.startswith("recordings/")]
    assert sorted(listed) == sorted(map(str, calls))
    assert len(opened.read("calls.csv").splitlines()) == 8
    assert db.execute("SELECT calls FROM export").fetchall() == [(7,)]


def test_what_is_altered_is_left_out_and_what_goes_later_is_told_on_unpacking(
    sysadmin: Browser, archive: Archive, side: Side
) -> None:
    company = archive.company()
    altered, later, _ = (archive.stored(company, tone(n))[0] for n in (1, 2, 3))
    path = archive.path(altered)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ask(sysadmin, side, company)
    side.prepare()
    page = words(sysadmin.get(f"/companies/{company}/exports").text)
    assert "1 call is not in it" in page
    assert f"{altered} : the file is not what was stored" in page or f"{altered}: the" in page
    address = archive_of(sysadmin, company)
    archive.store.remove(archive.path(later))
    archive.store.mark(leaving.box(archive.db))
    opened = zipfile.ZipFile(io.BytesIO(sysadmin.get(address).data))
    assert len([name for name in opened.namelist() if name.startswith("recordings/")]) == 2
    assert Path(str(opened.testzip())).stem == str(later)
    (archive.store.root / "archive.id").unlink()  # the disk is not mounted: nothing is missed
    with pytest.raises(ArchiveAway):
        sysadmin.get(address)


def test_mistakes_are_said_and_an_export_ends(
    sysadmin: Browser, archive: Archive, side: Side, db: Connection
) -> None:
    company = archive.company()
    assert "There are no such calls." in ask(sysadmin, side, company)
    archive.stored(company, started_at=datetime(2026, 3, 5, 12, tzinfo=UTC))
    wrong = ask(sysadmin, side, company, since="2026-03-06", until="2026-03-05")
    assert "This is before the first day." in wrong
    assert "Enter a day" in ask(sysadmin, side, company, since="yesterday")
    assert "no such calls" in ask(sysadmin, side, company, since="2026-03-06")
    assert "1 call is" in ask(sysadmin, side, company, until="2026-03-05").replace("calls", "call")
    assert "already" in ask(sysadmin, side, company, until="2026-03-05")
    side.prepare()
    address = archive_of(sysadmin, company)
    assert sysadmin.get(address).status_code == 200
    with working(side.turn):
        sysadmin.post(address.replace("archive.zip", "cancel"), page="/account")
    assert sysadmin.get(address).status_code == 404
    side.turn()
    assert list(side.directory.iterdir()) == []

    ask(sysadmin, side, company)
    side.prepare()
    others = [side.directory / name for name in ("7/2026/11/a.csrec", f"{UUID(int=7)}/a.csrec")]
    for file in others:  # a directory that is not for exports alone was configured
        file.parent.mkdir(parents=True)
        file.touch()
    side.offset = timedelta(days=7, minutes=1)
    side.turn()
    assert "expired" in words(sysadmin.get(f"/companies/{company}/exports").text)
    assert sorted(path for path in side.directory.rglob("*") if path.is_file()) == sorted(others)
    ask(sysadmin, side, company)
    side.prepare()
    shutil.rmtree(side.directory)
    assert sysadmin.get(archive_of(sysadmin, company)).status_code == 404


def test_a_full_disk_ends_an_export_with_its_reason_and_a_missing_archive_only_waits(
    sysadmin: Browser, archive: Archive, side: Side, db: Connection
) -> None:
    company = archive.company()
    archive.stored(company)
    side.is_there = False
    ask(sysadmin, side, company)
    assert not side.turn()
    side.is_there = True
    side.directory.write_bytes(b"")  # no directory can be made there
    side.prepare()
    page = words(sysadmin.get(f"/companies/{company}/exports").text)
    assert "failed:" in page and "Put that right and begin again." in page


def test_only_so_many_are_sent_at_a_time(
    app: Flask, sysadmin: Browser, archive: Archive, side: Side
) -> None:
    company = archive.company()
    archive.stored(company)
    ask(sysadmin, side, company)
    side.prepare()
    address = archive_of(sysadmin, company)
    sending = app.extensions["callstash"].sending
    with sending, sending:
        assert sysadmin.get(address).status_code == 429
    for _ in range(4):  # each lets go when it is sent
        assert sysadmin.get(address).status_code == 200


def test_nobody_but_the_system_administrator_has_exports(
    log_in: Callable[[str], Browser], as_user: Callable[..., Browser], archive: Archive,
    world: World, sysadmin: Browser,
) -> None:  # fmt: skip
    company = world.known["company_id"]
    user = archive.user("carol")
    for browser in (log_in("admin"), as_user(user, int(company))):
        for way in ("", f"/{world.known['export_id']}/archive.zip"):
            assert browser.get(f"/companies/{company}/exports{way}").status_code in (403, 404)
        assert f"/companies/{company}/exports" not in browser.get(f"/companies/{company}").text


def test_an_archive_of_many_gigabytes_has_its_directory_where_it_says(
    tmp_path: Path, archive: Archive
) -> None:
    company, offset = archive.company(), 0
    members = []
    for _ in range(5):
        call, _ = archive.stored(company)
        at = datetime(2026, 3, 5, tzinfo=UTC).date()
        members.append(Member(call, at, 0, 0, LARGEST, offset))
        offset += LOCAL + LARGEST
    (tmp_path / shared.MEMBERS).write_bytes(b"".join(one.packed() for one in members))
    (tmp_path / shared.MANIFEST).write_bytes(b"{}")
    with (tmp_path / shared.TABLE).open("wb") as file:
        file.truncate(5 << 30)
    files = [File("manifest.json", 2, 0), File("calls.csv", 5 << 30, 0)]
    (tmp_path / shared.HEAD).write_bytes(shared.head_of(files))
    bundle = Bundle(
        tmp_path, archive.store, company, SIGNER, leaving.box(archive.db), datetime.now(UTC)
    )
    opened = zipfile.ZipFile(Ranges(bundle))
    found = {one.filename: one for one in opened.infolist()}
    assert found["calls.csv"].file_size == 5 << 30
    assert [found[one.name].file_size for one in members] == [LARGEST] * 5
    last = found[members[-1].name]
    assert last.header_offset > 20 << 30
    header = b"".join(bundle.read(last.header_offset, last.header_offset + LOCAL))
    assert header.startswith(b"PK\x03\x04") and header.endswith(last.filename.encode())
    assert 46 + len(last.filename) + 12 == CENTRAL


class Ranges(io.RawIOBase):
    """A bundle as a file, of which only what is read is made."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, self._at = bundle, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._bundle.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        stop = self._bundle.size if size < 0 else min(self._bundle.size, self._at + size)
        found = b"".join(self._bundle.read(self._at, stop))
        self._at = stop
        return found
