"""`callstash verify-evidence`: is an evidence pack what a CallStash signed, and does it agree?

Needs neither the box nor a key of it.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from common import archive, transcode
from common.errors import ArchiveError, CallStashError
from common.evidence import ENDINGS, SIGNATURE, SIGNER, SUMS

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._/-]*)")


class EvidenceAltered(CallStashError):
    """A file of an evidence pack is missing, altered, or does not belong to it."""


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise EvidenceAltered(f"{name}: missing") from error


def _signer(directory: Path) -> tuple[str, bytes]:
    """Return the fingerprint of the key that signed, and the list of files that it signed."""
    sums, signature, pem = (_read(directory, name) for name in (SUMS, SIGNATURE, SIGNER))
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EvidenceAltered(f"{SIGNER}: was altered") from error
    form = PublicFormat.SubjectPublicKeyInfo
    if not isinstance(key, Ed25519PublicKey) or key.public_bytes(Encoding.PEM, form) != pem:
        raise EvidenceAltered(f"{SIGNER}: was altered")
    try:
        key.verify(signature, sums)
    except InvalidSignature as error:
        raise EvidenceAltered(f"{SUMS} or {SIGNATURE}: is not what was signed") from error
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest(), sums


def _sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(directory: Path, sums: bytes) -> None:
    """See that the files are those of the list, and no others."""
    listed = {SUMS, SIGNATURE, SIGNER}
    for line in sums.decode("ascii", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if not match or ".." in match[2]:
            raise EvidenceAltered(f"{SUMS}: was altered")
        path = directory / match[2]
        if not path.is_file():
            raise EvidenceAltered(f"{match[2]}: missing")
        if _digest(path) != match[1]:
            raise EvidenceAltered(f"{match[2]}: was altered")
        listed.add(match[2])
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if not path.is_dir() and name not in listed:
            raise EvidenceAltered(f"{name}: is not part of it")


def _call(directory: Path, call: Any) -> None:
    """See that the sound is what the encrypted original holds."""
    name = f"encrypted/{call['id']}.csrec"
    original = directory / f"original/{call['id']}.{ENDINGS.get(call['mime'], 'wav')}"
    with (directory / name).open("rb", buffering=0) as file:
        reader = archive.Reader(
            file, bytes.fromhex(call["content_key"]), recording=UUID(call["id"]),
            company=UUID(call["company"]["id"]),
        )  # fmt: skip
        if _sha256(reader.read_range(0, reader.size)) != call["audio_sha256"]:
            raise EvidenceAltered(f"{name}: holds another recording")
        facts = transcode.AudioFacts(
            call["mime"], call["codec"], call["channels"], call["sample_rate"],
            call["data_offset"], call["data_bytes"], call["audio_bytes"],
        )  # fmt: skip
        played = transcode.rendition(facts, reader.read_range)
        audio = directory / f"audio/{call['id']}.wav"
        if played.mime == "audio/wav" and _sha256(played.read_range(0, played.size)) != _sha256(
            [audio.read_bytes()]
        ):
            raise EvidenceAltered(f"audio/{audio.name}: is not what the original holds")
    if _digest(original) != call["audio_sha256"]:
        raise EvidenceAltered(f"original/{original.name}: is not what the archive holds")


def verify(directory: Path) -> tuple[str, int]:
    """Return the signer's fingerprint and how many calls there are. Raises EvidenceAltered."""
    fingerprint, sums = _signer(directory)
    _files(directory, sums)
    calls = json.loads(_read(directory, "evidence.json"))["calls"]
    for call in calls:
        try:
            _call(directory, call)
        except (ArchiveError, OSError) as error:
            raise EvidenceAltered(f"encrypted/{call['id']}.csrec: {error}") from error
    return fingerprint, len(calls)


@click.command("verify-evidence")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--signer", help="The fingerprint that the box's administrator names.")
def verify_evidence(directory: Path, signer: str | None) -> None:
    """Check the evidence in DIRECTORY: its signature, every file, and the encrypted originals."""
    fingerprint, calls = verify(directory)
    if signer and signer.strip().lower() != fingerprint:
        raise EvidenceAltered(f"{SIGNER}: is the key {fingerprint}, not the one that you named")
    click.echo(f"{calls} calls are what was signed with key {fingerprint}")
    if not signer:
        click.echo("Compare that with the fingerprint that the box's administrator names.")
