"""Evidence of a call: from its page and from the console, and nothing altered passes."""

import hashlib
import io
import json
import random
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from common import seal
from common.db import Connection
from common.store import Store
from devtools.installation import Installation, ToolFailed
from tests.unit import sounds
from tests.web import building
from tests.web.browser import Browser
from tests.web.building import Archive
from tests.web.test_leaving_player import served
from tools.verify_evidence import EvidenceAltered, verify

OPENSSL = (
    "openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in SHA256SUMS"
    " -sigfile SHA256SUMS.sig && sha256sum -c SHA256SUMS"
)


def unpacked(answer: bytes, directory: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(answer)) as archive:
        assert archive.testzip() is None
        archive.extractall(directory)
    (made,) = directory.iterdir()
    return made


def test_a_call_is_taken_as_evidence_by_those_who_hear_it(
    sysadmin: Browser, archive: Archive, audit: Callable[[], list[Any]], tmp_path: Path
) -> None:
    company = archive.company()
    for codec, mime in (("ulaw", "audio/wav"), ("mp3", "audio/mpeg"), ("gsm", "audio/wav")):
        audio = sounds.recording(codec)
        call = archive.sent(company, audio, mime, caller="<b>Eve</b>")
        sysadmin.get(f"/recordings/{call}/audio?view=first-view")
        page = sysadmin.get(f"/recordings/{call}").text
        assert f'href="/recordings/{call}/evidence"' in page
        answer = sysadmin.get(f"/recordings/{call}/evidence")
        assert answer.status_code == 200
        made = unpacked(answer.data, tmp_path / codec)
        fingerprint, count = verify(made)
        assert count == 1
        assert next((made / "original").iterdir()).read_bytes() == audio
        if codec != "mp3":
            assert (made / f"audio/{call}.wav").read_bytes() == served(archive, call)
        stored = archive.path(call).read_bytes()
        assert (made / f"encrypted/{call}.csrec").read_bytes() == stored
        cover = (made / "evidence.html").read_text()
        for known in ("&lt;b&gt;Eve", "sysadmin played it", fingerprint, str(call),
                      hashlib.sha256(audio).hexdigest(), "openssl pkeyutl"):  # fmt: skip
            assert known in cover
        assert "<b>Eve" not in cover
        done = subprocess.run(["sh", "-c", OPENSSL], cwd=made, capture_output=True, check=False)
        assert done.returncode == 0, done
        assert audit()[-1] == ("sysadmin", "recording.evidence", f"recording:{call}")
        assert "took it as evidence" in sysadmin.get(f"/recordings/{call}").text


def test_of_an_altered_file_nothing_is_evidence(
    sysadmin: Browser, archive: Archive, audit: Callable[[], list[Any]]
) -> None:
    call, _ = archive.stored(archive.company())
    path = archive.path(call)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    answer = sysadmin.get(f"/recordings/{call}/evidence")
    assert (answer.status_code, audit()[-1][1]) == (502, "recording.refused")
    assert b"RIFF" not in answer.data


def test_evidence_from_the_console_is_verified_and_every_alteration_is_named(
    dsn: str, broker_url: str, db: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Installation(tmp_path, dsn, broker_url, tmp_path / "companies")
    monkeypatch.setattr(building, "MASTER_PUBLIC", seal.public_key(ours.master))
    building.company_key.cache_clear()
    archive = Archive(db, Store(ours.archive))
    company = archive.company()
    calls = [str(archive.stored(company)[0]), str(archive.stored(company)[0])]
    out = tmp_path / "out"
    with pytest.raises(ToolFailed, match="there is no stored call"):
        ours.tool("evidence", str(UUID(int=7)), str(out))
    said = ours.tool("evidence", *calls, str(out))
    assert "2 calls written" in said
    assert not out.with_name("out.part").exists()
    fingerprint = said.split()[-1]
    checked = ours.tool("verify-evidence", "--signer", fingerprint, str(out))
    assert "2 calls are what was signed" in checked
    with pytest.raises(ToolFailed, match="not the one that you named"):
        ours.tool("verify-evidence", "--signer", "0" * 64, str(out))
    with pytest.raises(ToolFailed, match="there already"):
        ours.tool("evidence", *calls, str(out))
    names = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()]
    chosen = random.Random(7)
    for name in names * 20:
        whole = (out / name).read_bytes()
        at = chosen.randrange(len(whole))
        changed = whole[:at] + bytes([whole[at] ^ 1 << chosen.randrange(8)]) + whole[at + 1 :]
        (out / name).write_bytes(chosen.choice([changed, whole[:at], whole + b"x"]))
        with pytest.raises(EvidenceAltered, match=r"SHA256SUMS|" + name):
            verify(out)
        (out / name).write_bytes(whole)
    (out / "audio" / "more.wav").write_bytes(b"")
    with pytest.raises(EvidenceAltered, match=r"audio/more\.wav: is not part"):
        verify(out)
    building.company_key.cache_clear()
    recorded = json.loads((out / "evidence.json").read_text())
    assert [call["id"] for call in recorded["calls"]] == calls
    actions = db.execute("SELECT count(*) FROM audit WHERE action = 'recording.evidence'")
    assert actions.fetchone() == (2,)
