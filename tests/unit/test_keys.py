"""Company keys, content keys, credentials; and a recording opened with nothing but openssl."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from common import archive, keys, seal
from common.errors import ConfigError, KeyUnavailable

COMPANY = uuid4()
MASTER, MASTER_PUBLIC = seal.generate()
KEY = keys.generate_company_key(COMPANY, 1, MASTER_PUBLIC)
PRIVATE = keys.open_company_key(MASTER, KEY.private_sealed, COMPANY, KEY.kid, 1)


def test_a_company_key_is_rsa_3072_and_named_by_its_public_half() -> None:
    assert PRIVATE.key_size == 3072
    assert keys.key_id(KEY.public_key) == KEY.kid
    assert len(KEY.kid) == 16


def test_a_content_key_is_wrapped_for_one_company() -> None:
    cek = os.urandom(32)
    wrapped = keys.wrap(KEY.public_key, cek)
    assert len(wrapped) == 384
    assert keys.unwrap(PRIVATE, wrapped) == cek
    for wrong in (wrapped[:-1], bytes(384), b"", keys.wrap(KEY.public_key, b"short")):
        with pytest.raises(KeyUnavailable):
            keys.unwrap(PRIVATE, wrong)


def test_a_private_key_opens_for_its_company_id_and_version_only() -> None:
    for master, company, kid, version in (
        (seal.generate()[0], COMPANY, KEY.kid, 1),
        (MASTER, uuid4(), KEY.kid, 1),
        (MASTER, COMPANY, "0" * 16, 1),
        (MASTER, COMPANY, KEY.kid, 2),
    ):
        with pytest.raises(KeyUnavailable):
            keys.open_company_key(master, KEY.private_sealed, company, kid, version)


def test_what_was_sealed_in_place_of_a_private_key_is_refused() -> None:
    """Anybody can seal to the master key; only the key that the kid names may come out."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    context = keys._context(COMPANY, KEY.kid, 1)
    for forged in (other.private_bytes(*pkcs8), curve.private_bytes(*pkcs8), b"", b"junk"):
        sealed = seal.seal(MASTER_PUBLIC, forged, context)
        with pytest.raises(KeyUnavailable, match=KEY.kid):
            keys.open_company_key(MASTER, sealed, COMPANY, KEY.kid, 1)


def test_a_public_key_that_is_short_or_none_is_refused() -> None:
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    short = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    for wrong in (short.public_bytes(*spki), curve.public_bytes(*spki), b"", b"junk"):
        with pytest.raises(KeyUnavailable, match="public key"):
            keys.wrap(wrong, bytes(32))


def test_a_credential_is_written_once_for_its_owner_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    keys.write_credential(tmp_path, "master.key", MASTER)
    assert keys.load_credential("master.key") == MASTER
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        keys.write_credential(tmp_path, "master.key", bytes(32))


def test_a_credential_that_does_not_fit_on_the_disk_leaves_no_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            keys.write_credential(tmp_path, "master.key", MASTER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "=" * 44])
def test_a_bad_credential_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "pbx.key").write_text(text)
    with pytest.raises(ConfigError, match=r"pbx\.key"):
        keys.load_credential("pbx.key")


def test_a_missing_credential_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError, match=r"pbx\.key: can't be read"):
        keys.load_credential("pbx.key")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY"):
        keys.load_credential("pbx.key")


DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "archive-format.md"
SHELL, PYTHON, MASTER_KEY = re.findall(
    r"^```(?:sh|python)\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S
)
PLAINTEXT = os.urandom(2 * archive.CHUNK + 700)


def archived(folder: Path, plaintext: bytes) -> list[Path]:
    """Write what the recipes of docs/archive-format.md start from: file, eCEK, private key."""
    cek = os.urandom(32)
    header = archive.Header(uuid4(), COMPANY, uuid4(), KEY.kid, "audio/wav")
    encryptor = archive.Encryptor(header, cek)
    pieces = [encryptor.prefix, *encryptor.update(plaintext), encryptor.finish()]
    contents = {
        "file": b"".join(pieces),
        "ecek": keys.wrap(KEY.public_key, cek),
        "company.key": PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("length", [0, 1, archive.CHUNK, len(PLAINTEXT)])
def test_the_documented_recipe_opens_a_recording_with_nothing_but_openssl(
    tmp_path: Path, length: int
) -> None:
    files = archived(tmp_path, PLAINTEXT[:length])
    opened = run("sh", "-c", SHELL, "open.sh", *files)
    assert (opened.stderr, opened.stdout) == (b"", PLAINTEXT[:length])


def test_the_documented_recipe_says_when_key_or_header_is_wrong(tmp_path: Path) -> None:
    file, ecek, company = archived(tmp_path, PLAINTEXT)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"audio/wav", b"audio/mp3"))
    opened = run("sh", "-c", SHELL, "open.sh", file, ecek, company)
    assert opened.returncode == 1
    assert b"does not belong" in opened.stderr
    assert opened.stdout == b""


def test_the_documented_recipe_in_python_opens_a_recording(tmp_path: Path) -> None:
    pytest.importorskip(
        "cryptography.cobblestone", reason="this version of cryptography has no Cobblestone"
    )
    opened = run(sys.executable, "-c", PYTHON, *archived(tmp_path, PLAINTEXT))
    assert (opened.stderr, opened.stdout) == (b"", PLAINTEXT)


def test_the_documented_recipe_opens_a_private_key_with_the_master_key(tmp_path: Path) -> None:
    pytest.importorskip(
        "cryptography.hazmat.primitives.hpke", reason="this version of cryptography has no HPKE"
    )
    keys.write_credential(tmp_path, "master.key", MASTER)
    sealed = tmp_path / "sealed"
    sealed.write_bytes(KEY.private_sealed)
    row = (str(COMPANY), KEY.kid, "1")
    opened = run(sys.executable, "-c", MASTER_KEY, tmp_path / "master.key", sealed, *row)
    *_, company = archived(tmp_path, b"")
    assert (opened.stderr, opened.stdout) == (b"", company.read_bytes())
