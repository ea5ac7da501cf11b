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
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from common import keys, seal
from common.store import Store
from devtools.installation import ROOT, Installation, ToolFailed
from tests.unit import sounds
from tests.waiting import until
from tests.web import building
from tests.web.building import Archive, tone

OTHER = UUID("6f1f4f0e-54a3-4c0c-9c51-3a0d5f6f0d13")
MIMES = {"mp3": "audio/mpeg"}


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


def opened(out: Path, private: Path, **asked: str) -> dict[str, bytes]:
    """Return the audio that decrypt.py makes of an export, by call."""
    done = run(sys.executable, "decrypt.py", str(private), "audio", cwd=out, **asked)
    assert done.returncode == 0, done.stderr
    return {path.stem: path.read_bytes() for path in (out / "audio").iterdir()}


def pair(directory: Path, bits: int = 3072) -> tuple[Path, Path]:
    """Make a client's key pair as openssl does: where its private and its public half lie."""
    private, public = directory / f"{bits}.key", directory / f"{bits}.pem"
    run("openssl", "genrsa", "-out", str(private), str(bits), cwd=directory)
    run("openssl", "rsa", "-in", str(private), "-pubout", "-out", str(public), cwd=directory)
    return private, public


def test_every_codec_opens_with_the_clients_own_key_and_only_with_that(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    archive = Archive(db, Store(ours.archive))
    company = archive.company()
    sent = {}
    for codec in (*sounds.CODECS, "gsm"):
        audio = sounds.recording(codec)
        sent[str(archive.sent(company, audio, MIMES.get(codec, "audio/wav")))] = audio
    private, public = pair(tmp_path)
    out, url = tmp_path / "out", "https://pbx.example.com"
    ask = ("export", "--company=harbour_legal", str(out), "--reencrypt-to")
    assert f"{len(sent)} calls" in ours.tool(*ask, str(public))
    assert opened(out, private) == sent
    for call in sent:
        shell = run("sh", "decrypt.sh", call, str(private), cwd=out)
        assert (shell.stdout, shell.stderr) == (sent[call], b"")
    assert not any(out.rglob("*.part"))
    for bad, why in ((pair(tmp_path, 2048)[1], "3072"), (private, "is not a public key")):
        with pytest.raises(ToolFailed, match=why):
            ours.tool(*ask, str(bad))
    ours.tool("export-keys", "--company=harbour_legal", "--to", str(tmp_path / "keys"),
              "--mode=private", "--plain", url)  # fmt: skip
    old = tmp_path / "keys/harbour_legal.private.key"
    refused = run(sys.executable, "decrypt.py", str(old), "other", cwd=out)
    assert (refused.returncode, refused.stderr.count(b"is for the key")) == (1, len(sent))
    (out / "manifest.json").unlink()
    for other in ([str(pair(tmp_path, 3073)[1])], []):
        again = ask if other else ask[:-1]
        with pytest.raises(ToolFailed, match="holds another export"):
            ours.tool(*again, *other)


def test_only_the_calls_of_those_days_and_that_number_go(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    archive = Archive(db, Store(ours.archive))
    company, other = archive.company(), archive.company("Other", OTHER)
    made = {
        (day, number): archive.stored(
            company, tone(0.1), callee=number, started_at=datetime(2026, 3, day, 12).astimezone()
        )[0]
        for day in (1, 2, 3)
        for number in ("0163 296 0001", "01632960002")
    }
    archive.stored(other, tone(0.1), uid=OTHER)
    for ask, days, numbers in (
        (["--from=2026-03-02"], (2, 3), ("0163 296 0001", "01632960002")),
        (["--to=2026-03-02"], (1, 2), ("0163 296 0001", "01632960002")),
        (["--from=2026-03-02", "--to=2026-03-02", "--number=2960002"], (2,), ("01632960002",)),
    ):
        out = tmp_path / "-".join(ask)
        ours.tool("export", "--company=harbour_legal", *ask, str(out))
        with (out / "calls.csv").open(newline="") as table:
            calls = {row["call_id"] for row in csv.DictReader(table)}
        assert calls == {str(made[day, number]) for day in days for number in numbers}
        assert {path.stem for path in out.rglob("*.csrec")} == calls


def test_an_export_that_was_killed_goes_on_and_keeps_what_it_had(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    archive, out = Archive(db, Store(ours.archive)), tmp_path / "out"
    company, day = archive.company(), "recordings/2026/11/20"
    calls = [archive.stored(company, tone(40))[0] for _ in range(12)]
    stuck = archive.path(sorted(calls)[8])
    whole = stuck.read_bytes()
    stuck.unlink()
    os.mkfifo(stuck)  # whoever opens it waits
    ask = ("export", "--company=harbour_legal", str(out))
    command = [sys.executable, "-m", "tools", *ask]
    with subprocess.Popen(command, cwd=ROOT, env=ours.environment("all")) as process:
        until(lambda: (out / day / f"{stuck.stem}.part").exists())
        until(lambda: len(list(out.rglob("*.csrec"))) > 5)
        process.kill()
    stuck.unlink()
    stuck.write_bytes(whole)
    had = {path: path.stat().st_ino for path in out.rglob("*.csrec")}
    assert 5 < len(had) < 12
    assert not (out / "manifest.json").exists()
    assert "12 calls" in ours.tool(*ask)
    assert had.items() <= {path: path.stat().st_ino for path in out.rglob("*.csrec")}.items()
    assert not any(out.rglob("*.part"))
    opener = runpy.run_path(str(out / "decrypt.py"))
    opener["check"](out)
    with (out / "calls.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            with (out / row["file"]).open("rb") as file:
                assert opener["sha256"](file) == row["file_sha256"]


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
    content = archive.path(call).read_bytes()
    archive.path(call).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ToolFailed, match="1 calls were left out"):
        ours.tool("export", "--company=harbour_legal", str(tmp_path / "b"))
    assert str(call) in (tmp_path / "b" / "manifest.json").read_text()
    archive.path(call).unlink()
    archive.path(call).mkdir()  # can't be read, as on a bad disk
    for options in ([], ["--wav"]):
        with pytest.raises(ToolFailed, match="1 calls were left out"):
            ours.tool("export", "--company=harbour_legal", *options, str(tmp_path / f"c{options}"))


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
            for _ in opener["decrypt"](out, row, private):
                pass

    open_all()
    names = [
        *("calls.csv", "manifest.json", "manifest.sig", "signer.pem", "player.html", "decrypt.py"),
        *("decrypt.sh", *(call["file"] for call in calls)),
    ]
    random = Random(9)
    for _ in range(1000):
        name = random.choice(names)
        whole = (out / name).read_bytes()
        (out / name).write_bytes(altered(random, whole))
        with pytest.raises(opener["Altered"], match=re.escape(name)):
            open_all()
        (out / name).write_bytes(whole)
    open_all()
