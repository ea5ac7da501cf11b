"""Keys that are replaced while recordings open, and the recovery kit."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from common import keys, passwords, seal
from common.errors import ConfigError
from common.queries import leaving
from common.store import Store
from devtools.installation import ROOT, Installation, ToolFailed
from tests.web import building
from tests.web.building import Archive, tone

URL = "https://pbx.example.com"
ROTATE = ("rotate-key", URL, "--company=harbour_legal")


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


@pytest.fixture
def archive(ours: Installation, db: Any) -> Archive:
    return Archive(db, Store(ours.archive))


def credentials(ours: Installation) -> Path:
    return ours.directory / "credentials/all"


def ceks(db: Any, master: bytes) -> dict[Any, bytes]:
    """Open every content key with the key that its row names: none may fail."""
    private = {
        (company, version): keys.open_company_key(master, bytes(sealed), uid, kid, version)
        for company, uid, version, kid, sealed in db.execute(
            "SELECT c.id, c.uid, k.version, k.kid, k.private_sealed FROM company_key k"
            " JOIN company c ON c.id = k.company_id WHERE k.private_sealed IS NOT NULL"
        )
    }
    return {
        recording: keys.unwrap(private[company, version], bytes(ecek))
        for recording, company, version, ecek in db.execute(
            "SELECT recording_id, company_id, key_version, ecek FROM recording_audio"
        )
    }


def many(archive: Archive, company: int, count: int) -> None:
    """Add recordings without files, each with a content key of its own."""
    archive.stored(company, tone(0.1))
    columns = ", ".join(
        row[0]
        for row in archive.db.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'recording_audio' ORDER BY ordinal_position"
        )
        if row[0] not in ("recording_id", "ecek")
    )
    public = building.company_key(building.COMPANY_UID).public_key
    for _ in range(count - 1):
        recording = archive.listed(company)
        archive.db.execute(
            f"INSERT INTO recording_audio (recording_id, ecek, {columns})"
            f" SELECT %s, %s, {columns} FROM recording_audio LIMIT 1",
            [recording, keys.wrap(public, os.urandom(32))],
        )


def killed(ours: Installation, after_lines: int, *arguments: str) -> None:
    """Run a tool and kill it once it has said so many lines."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tools", *arguments], env=ours.environment("all"), cwd=ROOT,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for _ in range(after_lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)


def test_a_company_gets_a_new_key_and_every_recording_opens_at_any_time(
    ours: Installation, archive: Archive, db: Any
) -> None:
    company = archive.company()
    many(archive, company, 500)
    before = ceks(db, ours.master)
    killed(ours, 3, *ROTATE)
    versions = {row[0] for row in db.execute("SELECT DISTINCT key_version FROM recording_audio")}
    assert versions == {1, 2}
    assert ceks(db, ours.master) == before
    assert "content keys" in ours.tool("rewrap")
    assert ceks(db, ours.master) == before
    assert db.execute("SELECT DISTINCT key_version FROM recording_audio").fetchall() == [(2,)]
    query = "SELECT to_rewrap, rewrapped, rewrapped_at FROM company_key WHERE version = 1"
    assert db.execute(query).fetchone() == (500, 500, None), "an archiver may still use it"
    db.execute("UPDATE company_key SET retired_at = now() - interval '25 hours' WHERE version = 1")
    assert "nothing needs the key" in ours.tool("rewrap")
    assert ours.tool("rewrap") == ""
    assert [key.version for key in leaving.company_keys(db, company)] == [2, 1]
    assert db.execute("SELECT count(*) FROM company_key").fetchone() == (2,), "none is deleted"


def test_one_content_key_that_does_not_open_holds_nothing_up(
    ours: Installation, archive: Archive, db: Any
) -> None:
    many(archive, archive.company(), 5)
    db.execute(
        "UPDATE recording_audio SET ecek = set_byte(ecek, 9, get_byte(ecek, 9) # 1)"
        " WHERE recording_id = (SELECT recording_id FROM recording_audio ORDER BY 1 LIMIT 1)"
    )
    with pytest.raises(ToolFailed, match="1 content keys can't be opened"):
        ours.tool(*ROTATE)
    found = db.execute("SELECT key_version, count(*) FROM recording_audio GROUP BY 1 ORDER BY 1")
    assert found.fetchall() == [(1, 1), (2, 4)]


def test_a_company_that_brings_its_key_is_archived_for_and_not_heard(
    ours: Installation, archive: Archive, db: Any, tmp_path: Path
) -> None:
    many(archive, archive.company(), 3)
    private = rsa.generate_private_key(65537, 3072)
    pem = tmp_path / "public.pem"
    pem.write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    brings = (*ROTATE, "--public-key", str(pem))
    assert "can't be heard here" in ours.tool(*brings)
    current = db.execute(
        "SELECT version, public_key, private_sealed FROM company_key WHERE retired_at IS NULL"
    ).fetchone()
    assert current[0] == 2 and current[2] is None
    cek = os.urandom(32)
    assert keys.unwrap(private, keys.wrap(bytes(current[1]), cek)) == cek
    assert ours.tool("rewrap") == "", "what this box can open, it can open"
    with pytest.raises(ToolFailed, match="is or was in use here"):
        ours.tool(*brings)
    leaves = ("export-keys", URL, "--company=harbour_legal", "--mode=private", "--plain", "--to")
    ours.tool(*leaves, str(tmp_path / "keys"))
    (former,) = (tmp_path / "keys").glob("*private.key")
    kid = building.company_key(building.COMPANY_UID).kid
    assert former.name.endswith(f"{kid}.private.key"), "the calls from before need it"
    opens = load_pem_private_key(former.read_bytes(), None)
    assert isinstance(opens, rsa.RSAPrivateKey)
    for (ecek,) in db.execute("SELECT ecek FROM recording_audio"):
        assert len(keys.unwrap(opens, bytes(ecek))) == 32
    sealed = db.execute("SELECT private_sealed FROM company_key WHERE version = 1").fetchone()[0]
    db.execute("UPDATE company_key SET private_sealed = NULL")
    with pytest.raises(ToolFailed, match="has a key of its own"):
        ours.tool(*leaves, str(tmp_path / "none"))
    db.execute("UPDATE company_key SET private_sealed = %s WHERE version = 1", [sealed])
    assert "content keys" in ours.tool(*ROTATE), "and back to a key of this box"
    assert db.execute("SELECT DISTINCT key_version FROM recording_audio").fetchall() == [(3,)]


def test_what_is_no_key_for_a_company_is_refused(
    ours: Installation, archive: Archive, db: Any, tmp_path: Path
) -> None:
    archive.company()
    file = tmp_path / "key.pem"
    weak = rsa.generate_private_key(65537, 2048)
    form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    for pem, why in (
        (b"", "no public key"),
        (b"\0" * 5000, "no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key"),
        (ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*form), "RSA key"),
        (weak.public_key().public_bytes(*form), "not an RSA key of 3072"),
        (weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "a private key"),
    ):
        with pytest.raises(ConfigError, match=why):
            keys.brought_key(2, pem)
        file.write_bytes(pem)
    with pytest.raises(ToolFailed, match="this is a private key: keep it"):
        ours.tool(*ROTATE, "--public-key", str(file))
    found = db.execute("SELECT version, retired_at FROM company_key").fetchall()
    assert found == [(1, None)], "the old key stays the current one"


def test_the_master_key_is_replaced_also_where_that_is_killed(
    ours: Installation, archive: Archive, db: Any
) -> None:
    many(archive, archive.company(), 2)
    sealed = seal.seal(seal.public_key(ours.master), b"totp", passwords.factor("sysadmin"))
    db.execute("UPDATE account SET totp_sealed = %s WHERE name = 'sysadmin'", [sealed])
    before, old = ceks(db, ours.master), ours.master
    pick = Random(7)
    directory = credentials(ours)
    rotate = ("rotate-master", "--credentials", str(directory))
    for _ in range(6):  # wherever it is, what is sealed opens with what lies there
        with subprocess.Popen(
            [sys.executable, "-m", "tools", *rotate], env=ours.environment("all"), cwd=ROOT,
            stdout=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                process.wait(pick.uniform(0.2, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
        now = [
            keys.read_credential(file) for file in directory.glob("master.key*")
            if seal.public_key(keys.read_credential(file)) == bytes(
                db.execute("SELECT public_key FROM sealing_key WHERE name = 'master'").fetchone()[0]
            )
        ]  # fmt: skip
        assert ceks(db, now[0]) == before
        ours.tool("init", "--credentials", str(directory))  # as the box does when it boots
        assert ceks(db, ours.master) == before
    ours.tool(*rotate)
    assert ours.master != old
    assert ceks(db, ours.master) == before
    for name, secret in db.execute("SELECT name, sealed FROM sealed_credential"):
        opened = seal.unseal(ours.master, bytes(secret), f"credential\0{name}".encode())
        assert opened == (directory / name).read_bytes()
    factor = db.execute("SELECT totp_sealed FROM account WHERE name = 'sysadmin'").fetchone()[0]
    assert seal.unseal(ours.master, bytes(factor), passwords.factor("sysadmin")) == b"totp"
    kept = [keys.read_credential(file) for file in directory.glob("master.key.until-*")]
    assert old in kept, "older backups need it"


def test_a_master_key_that_is_not_formerchanges_nothing(ours: Installation, db: Any) -> None:
    file = credentials(ours) / "master.key"
    file.write_text(base64.b64encode(bytes(range(32))).decode())
    with pytest.raises(ToolFailed, match="the key of another CallStash"):
        ours.tool("rotate-master", "--credentials", str(credentials(ours)))
    assert not (credentials(ours) / "master.key.new").exists()


def test_the_recovery_kit_is_shown_and_a_wrong_one_is_told(
    ours: Installation, db: Any, tmp_path: Path
) -> None:
    kit = (credentials(ours) / "master.key").read_text()
    for wrong, why in (
        ("", "a part is missing"),
        (kit[:20], "a part is missing"),
        ("not a key!", "no recovery kit"),
        (base64.b64encode(bytes(range(32))).decode(), "of another CallStash"),
    ):
        with pytest.raises(ToolFailed, match=why):
            ours.tool("check-kit", stdin=wrong)
    assert db.execute("SELECT 1 FROM recovery_kit").fetchone() is None
    copy = tmp_path / "copy"
    copy.write_text(f"  {kit[:22]}\n {kit[22:]}\n")
    assert "This is the recovery kit" in ours.tool("check-kit", str(copy))
    assert db.execute("SELECT read_by FROM recovery_kit").fetchone() == ("console:root",)
    assert json.dumps(kit) not in str(db.execute("SELECT * FROM audit").fetchall())
    ours.tool("rotate-master", "--credentials", str(credentials(ours)))
    assert db.execute("SELECT 1 FROM recovery_kit").fetchone() is None, "the new one is to be shown"
