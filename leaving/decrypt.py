"""Opens the recordings of a CallStash export: python3 decrypt.py PRIVATE.KEY TARGET [CALL_ID…]

Needs only the package cryptography. Run it where calls.csv lies. Whatever was altered is named and
not written; the exit status is then 1.
"""

import base64
import csv
import getpass
import hashlib
import json
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


class Altered(Exception):
    """A file is not what was exported."""


def check(bundle):
    """See that the table is the one that was signed."""
    try:
        manifest, signature, pem = (
            (bundle / name).read_bytes() for name in ("manifest.json", "manifest.sig", "signer.pem")
        )
        key = serialization.load_pem_public_key(pem)
        key.verify(signature, manifest)
    except (OSError, ValueError, TypeError, AttributeError, InvalidSignature) as error:
        raise Altered("manifest.json: missing, or not what was signed") from error
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    for name, digest in json.loads(manifest)["sha256"].items():
        if name != Path(name).name or not (bundle / name).is_file():
            raise Altered(f"{name}: missing")
        if hashlib.sha256((bundle / name).read_bytes()).hexdigest() != digest:
            raise Altered(f"{name}: was altered")
    return hashlib.sha256(raw).hexdigest()


def decrypt(bundle, row, private):
    """Return the audio of one call."""
    name = row["file"]
    try:
        data = (bundle / name).read_bytes()
    except OSError as error:
        raise Altered(f"{name}: missing") from error
    if hashlib.sha256(data).hexdigest() != row["file_sha256"]:
        raise Altered(f"{name}: was altered")
    try:
        cek = private.decrypt(base64.b64decode(row["ecek"].lstrip("'")), OAEP)
        end = 10 + int.from_bytes(data[8:10], "big")
        if json.loads(data[10:end])["rec"] != row["call_id"]:
            raise Altered(f"{name}: is another call")
        context = b"callstash/recording/v1\0" + hashlib.sha256(data[:end]).digest()
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + data[end : end + 24] + context
        keys = HKDFExpand(SHA512(), 76, info).derive(cek)
        if keys[44:] != data[end + 24 : end + 56]:
            raise Altered(f"{name}: the key does not belong to it")
        aead, base, audio = AESGCM(keys[:32]), int.from_bytes(keys[32:44], "big"), []
        for number in range((len(data) - end - 56) // CELL + 1):  # the last one is shorter
            at = end + 56 + number * CELL
            nonce = (base ^ number).to_bytes(12, "big")
            audio.append(aead.decrypt(nonce, data[at : at + CELL], None))
    except (ValueError, KeyError, InvalidTag) as error:
        raise Altered(f"{name}: was altered, or is for another key") from error
    audio = b"".join(audio)
    if hashlib.sha256(audio).hexdigest() != row["audio_sha256"]:
        raise Altered(f"{name}: holds other audio")
    return audio


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
                audio = decrypt(bundle, row, private)
                end = "mp3" if not audio.startswith(b"RIFF") else "wav"
                (target / f"{row['call_id']}.{end}").write_bytes(audio)
            except Altered as error:
                print(error, file=sys.stderr)
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
