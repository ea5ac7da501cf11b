"""Company keys, content keys, credentials; and a recording opened with nothing but openssl."""

import os
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

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


def test_a_credential_is_written_once_for_its_owner_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    keys.write_credential(tmp_path, "master.key", MASTER)
    assert keys.load_credential("master.key") == MASTER
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        keys.write_credential(tmp_path, "master.key", bytes(32))


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


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(
        ["openssl", *arguments], input=data, check=True, capture_output=True
    ).stdout


def test_a_recording_opens_with_nothing_but_openssl(tmp_path: Path) -> None:
    """The recipe of docs/archive-format.md: file, eCEK and private key are enough, without us."""
    plaintext, cek = os.urandom(40_000), os.urandom(32)
    header = archive.Header(uuid4(), COMPANY, uuid4(), KEY.kid, "audio/wav")
    encryptor = archive.Encryptor(header, cek)
    file = encryptor.prefix + b"".join(encryptor.update(plaintext)) + encryptor.finish()
    pem = tmp_path / "company.key"
    pem.write_bytes(PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    content_key = openssl(
        "pkeyutl", "-decrypt", "-inkey", str(pem), "-pkeyopt", "rsa_padding_mode:oaep",
        "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256",
        data=keys.wrap(KEY.public_key, cek),
    )  # fmt: skip
    end = 10 + int.from_bytes(file[8:10], "big")
    digest = openssl("dgst", "-sha256", "-binary", data=file[:end])
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + file[end : end + 24]
    info += b"callstash/recording/v1\0" + digest
    derived = openssl(
        "kdf", "-keylen", "76", "-binary", "-kdfopt", "digest:SHA2-512",
        "-kdfopt", "mode:EXPAND_ONLY", "-kdfopt", f"hexkey:{content_key.hex()}",
        "-kdfopt", f"hexinfo:{info.hex()}", "HKDF",
    )  # fmt: skip
    key, base, commitment = derived[:32], derived[32:44], derived[44:]
    assert file[end + 24 : end + 56] == commitment
    opened, cells = b"", file[end + 56 :]
    for number, start in enumerate(range(0, len(cells), 16400)):
        nonce = (int.from_bytes(base, "big") ^ number).to_bytes(12, "big")
        opened += openssl(
            "enc", "-d", "-aes-256-ctr", "-K", key.hex(), "-iv", nonce.hex() + "00000002",
            data=cells[start : start + 16400][:-16],
        )  # fmt: skip
    assert opened == plaintext
