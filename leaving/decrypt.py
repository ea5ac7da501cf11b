"""Opens the recordings of a CallStash export: python3 decrypt.py PRIVATE.KEY TARGET [CALL_ID…]

Needs only the package cryptography. Run it where calls.csv lies. Whatever was altered is named and
not written; the exit status is then 1.
"""

import base64
import csv
import getpass
import hashlib
import json
import os
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
CELL = 16400  # a chunk and its tag
BLOCK = 1 << 20


class Altered(Exception):
    """A file is not what was exported."""


def sha256(file):
    """Return the SHA-256 of what is left of a file."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def check(bundle):
    """See that the table is the one that was signed; return the fingerprint of the signer."""
    try:
        manifest, signature, pem = (
            (bundle / name).read_bytes() for name in ("manifest.json", "manifest.sig", "signer.pem")
        )
        key = serialization.load_pem_public_key(pem)
        key.verify(signature, manifest)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        if key.public_bytes(serialization.Encoding.PEM, form) != pem:
            raise ValueError
    except (OSError, ValueError, TypeError, AttributeError, InvalidSignature) as error:
        said = "manifest.json, manifest.sig or signer.pem: missing, or not what was signed"
        raise Altered(said) from error
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    for name, digest in json.loads(manifest)["sha256"].items():
        if name != Path(name).name or not (bundle / name).is_file():
            raise Altered(f"{name}: missing")
        with (bundle / name).open("rb") as file:
            if sha256(file) != digest:
                raise Altered(f"{name}: was altered")
    return hashlib.sha256(raw).hexdigest()


def decrypt(bundle, row, private):
    """Yield the audio of one call in pieces; it is right only once all of them have come."""
    name, kid = row["file"], key_id(private)
    if row["key_id"] != kid:
        raise Altered(f"{name}: is for the key {row['key_id']}, and this one is {kid}")
    try:
        with (bundle / name).open("rb") as file:
            if sha256(file) != row["file_sha256"]:
                raise Altered(f"{name}: was altered")
            file.seek(0)
            digest = hashlib.sha256()
            for piece in pieces(file, row, private):
                digest.update(piece)
                yield piece
    except OSError as error:
        raise Altered(f"{name}: missing") from error
    except (ValueError, KeyError, InvalidTag) as error:
        raise Altered(f"{name}: was altered") from error
    if digest.hexdigest() != row["audio_sha256"]:
        raise Altered(f"{name}: holds other audio")


def pieces(file, row, private):
    """Yield the chunks of a recording, each of which must be authentic."""
    cek = private.decrypt(base64.b64decode(row["ecek"].lstrip("'")), OAEP)
    head = file.read(10)
    head += file.read(int.from_bytes(head[8:], "big"))
    if json.loads(head[10:])["rec"] != row["call_id"]:
        raise Altered(f"{row['file']}: is another call")
    context = b"callstash/recording/v1\0" + hashlib.sha256(head).digest()
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + file.read(24) + context
    keys = HKDFExpand(SHA512(), 76, info).derive(cek)
    if keys[44:] != file.read(32):
        raise Altered(f"{row['file']}: the key does not belong to it")
    aead, base, number, cell = AESGCM(keys[:32]), int.from_bytes(keys[32:44], "big"), 0, b""
    while number == 0 or len(cell) == CELL:  # the last one is shorter
        cell = file.read(CELL)
        yield aead.decrypt((base ^ number).to_bytes(12, "big"), cell, None)
        number += 1


def key_id(private):
    """Return the first 16 digits of the SHA-256 of the public half of a key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = private.public_key().public_bytes(serialization.Encoding.DER, form)
    return hashlib.sha256(der).hexdigest()[:16]


def write(bundle, row, private, target):
    """Write the audio of one call, under its name only once all of it was right."""
    part = target / (row["call_id"] + ".part")
    try:
        with part.open("wb") as out:
            for piece in decrypt(bundle, row, private):
                out.write(piece)
        with part.open("rb") as file:
            end = "wav" if file.read(4) == b"RIFF" else "mp3"
        os.replace(part, target / f"{row['call_id']}.{end}")
    finally:
        if part.exists():
            part.unlink()


def private_key(path):
    """Return the private key, asking for its passphrase if it has one."""
    pem = path.read_bytes()
    phrase = None
    if b"ENCRYPTED" in pem:
        phrase = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    return serialization.load_pem_private_key(pem, phrase.encode() if phrase else None)


def main():
    """Decrypt all calls, or those that are named."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    bundle, target, wanted, bad = Path(), Path(sys.argv[2]), set(sys.argv[3:]), 0
    try:
        private = private_key(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: can't be read, or the passphrase is wrong ({error})")
    try:
        print(f"signed with key {check(bundle)}: compare it with the one you were given")
    except Altered as error:
        sys.exit(str(error))
    target.mkdir(parents=True, exist_ok=True)
    with (bundle / "calls.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            if wanted and row["call_id"] not in wanted:
                continue
            try:
                write(bundle, row, private, target)
            except Altered as error:
                print(error, file=sys.stderr)
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
