"""Leaving: exports and keys, opened with the tools that lie beside them."""

import csv
import hashlib
import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from common import keys, seal
from common.store import Store
from devtools.installation import Installation, ToolFailed
from tests.web import building
from tests.web.building import Archive, tone


@pytest.fixture
def ours(
    tmp_path: Path, dsn: str, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """An installation, whose master key the archive of the tests uses."""
    installation = Installation(tmp_path, dsn, broker_url, tmp_path / "companies")
    monkeypatch.setattr(building, "MASTER_PUBLIC", seal.public_key(installation.master))
    building.company_key.cache_clear()
    yield installation
    building.company_key.cache_clear()


def run(*command: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, cwd=cwd, input=stdin.encode(), capture_output=True, check=False, timeout=60
    )


def test_an_export_opens_with_each_tool_goes_on_and_refuses_what_was_altered(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    archive = Archive(db, Store(ours.archive))
    company = archive.company()
    served = dict(archive.stored(company, tone(seconds)) for seconds in (1, 5, 2.042))
    out, taken = tmp_path / "out", tmp_path / "keys"
    ask = ("export", "--company=Harbour Legal", str(out))
    assert "3 calls" in ours.tool(*ask)
    url = "https://pbx.example.com"
    take = ("export-keys", "--company=harbour_legal", "--to", str(taken), url)
    assert "harbour_legal.keys.csv" in ours.tool(*take)
    assert "harbour_legal.private.key" in ours.tool(*take, "--mode=private", stdin="a long one\n")
    private = taken / "harbour_legal.private.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    with pytest.raises(ToolFailed, match="is there already"):
        ours.tool(*take)

    opened = run(sys.executable, "decrypt.py", str(private), "audio", cwd=out, stdin="a long one\n")
    assert opened.returncode == 0, opened.stderr
    for call, audio in served.items():
        assert (out / "audio" / f"{call}.wav").read_bytes() == audio
    call, audio = next(iter(served.items()))
    plain = tmp_path / "plain"
    ours.tool("export-keys", "--company=harbour_legal", "--to", str(plain), "--mode=private",
              "--plain", url)  # fmt: skip
    shell = ("sh", "decrypt.sh", str(call), str(plain / "harbour_legal.private.key"))
    assert run(*shell, cwd=out).stdout == audio

    file = next(out.rglob(f"{call}.csrec"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for command in (shell, (sys.executable, "decrypt.py", shell[3], "audio")):
        refused = run(*command, cwd=out)
        assert refused.returncode == 1
        assert file.name.encode() in refused.stderr
    shutil.rmtree(out / "audio")
    (out / "manifest.json").unlink()
    file.with_suffix(".part").write_bytes(b"killed")
    assert "3 calls" in ours.tool(*ask)
    assert file.read_bytes() == whole
    table = (out / "calls.csv").read_bytes()
    (out / "calls.csv").write_bytes(table.replace(b"Alice", b"Alicf"))
    assert b"calls.csv" in run(*shell, cwd=out).stderr
    audited = db.execute("SELECT action FROM audit WHERE action LIKE 'company.%'").fetchall()
    assert [row[0] for row in audited].count("company.exported") == 2


def test_names_that_are_wrong_or_of_two_are_named_and_damage_is_left_out(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    archive = Archive(db, Store(ours.archive))
    call, _ = archive.stored(archive.company(), tone(1))
    with pytest.raises(ToolFailed, match="there is no company 'nobody'"):
        ours.tool("export", "--company=nobody", str(tmp_path / "a"))
    with pytest.raises(ToolFailed, match=r"there is no PBX https://other\.example\.com; there is"):
        ours.tool("export-keys", "--company=harbour_legal", "https://other.example.com")
    db.execute("INSERT INTO company (pbx_id, name, label) VALUES (10, 'x', 'Twin'),"
               " (10, 'y', 'Twin')")  # fmt: skip
    with pytest.raises(ToolFailed, match="names more than one company"):
        ours.tool("export", "--company=Twin", str(tmp_path / "a"))
    wav = ours.tool("export", "--company=harbour_legal", "--wav", str(tmp_path / "wav"))
    assert "1 calls" in wav
    found = next((tmp_path / "wav").rglob("*.wav"))
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    assert digest in (tmp_path / "wav" / "calls.csv").read_text()
    with archive.path(call).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    with pytest.raises(ToolFailed, match="1 calls were left out"):
        ours.tool("export", "--company=harbour_legal", str(tmp_path / "b"))
    assert str(call) in (tmp_path / "b" / "manifest.json").read_text()


def altered(random: Random, whole: bytes) -> bytes:
    """Return something else than `whole`: a bit flipped, cut, or with more at its end."""
    kind, at = random.randrange(3), random.randrange(len(whole))
    if kind == 0:
        flipped = bytes([whole[at] ^ 1 << random.randrange(8)])
        return whole[:at] + flipped + whole[at + 1 :]
    return whole[:at] if kind == 1 else whole + random.randbytes(1 + at % 40)


def test_a_thousand_altered_exports_are_all_refused_with_the_file_named(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    archive, out = Archive(db, Store(ours.archive)), tmp_path / "out"
    company = archive.company()
    for seconds in (1, 3):
        archive.stored(company, tone(seconds))
    ours.tool("export", "--company=harbour_legal", str(out))
    opener = runpy.run_path(str(out / "decrypt.py"))
    uid = building.COMPANY_UID
    key = building.company_key(uid)
    private = keys.open_company_key(ours.master, key.private_sealed, uid, key.kid, 1)
    with (out / "calls.csv").open(newline="") as table:
        calls = list(csv.DictReader(table))

    def open_all() -> None:
        opener["check"](out)
        for row in calls:
            opener["decrypt"](out, row, private)

    open_all()
    names = ["calls.csv", "manifest.json", "decrypt.py", "decrypt.sh", *(c["file"] for c in calls)]
    random = Random(9)
    for _ in range(1000):
        name = random.choice(names)
        whole = (out / name).read_bytes()
        (out / name).write_bytes(altered(random, whole))
        with pytest.raises(opener["Altered"], match=re.escape(name)):
            open_all()
        (out / name).write_bytes(whole)
    open_all()
