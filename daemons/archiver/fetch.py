"""One recording from the PBX into an encrypted file: download, check, hash, draw, encrypt, write.

Plaintext lives in memory only, a piece at a time. Nothing that the PBX says is taken on trust: what
does not agree with the listing is not stored but tried again.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from common import archive, keys
from common.daemon import Life
from common.errors import TransferError
from common.pbx import Connector
from common.store import Incoming
from daemons.archiver.audio import AudioInfo, Scanner
from daemons.archiver.queries import Claim, Stored

ALIVE = 1.0  # seconds between signs of life while a body comes in
SETTLED_TIMES = 5  # so often in a row another size than the listed one is taken as the true one
TOLERANCE = 3.0  # seconds by which the listed duration may be off the audio's


class Growing(TransferError):
    """The PBX sent another length (`size`, bytes) than it lists: a call that may still go on."""

    def __init__(self, sentence: str, size: int) -> None:
        super().__init__(sentence)
        self.size = size


@dataclass(frozen=True)
class Fetched:
    """A recording whose encrypted bytes lie in the incoming directory, not yet durable."""

    claim: Claim
    incoming: Incoming
    stored: Stored


def fetch(
    connector: Connector, pbx: UUID, claim: Claim, generation: int, directory: Path, life: Life
) -> Fetched:
    """Download and encrypt one recording.

    Raises PbxError, BadMedia, Growing, and OSError from the archive's disk; no file is left then.
    """
    incoming = Incoming(directory / f"{claim.id}-{generation}")
    try:
        stored = _transfer(connector, pbx, claim, generation, incoming, life)
        incoming.start_writeback()
    except BaseException:
        incoming.discard()
        raise
    return Fetched(claim, incoming, stored)


def _transfer(
    connector: Connector, pbx: UUID, claim: Claim, generation: int, incoming: Incoming, life: Life
) -> Stored:
    cek = os.urandom(32)
    plain, cipher = hashlib.sha256(), hashlib.sha256()
    size, last = 0, time.monotonic()

    def write(pieces: list[bytes]) -> None:
        for piece in pieces:
            cipher.update(piece)
        incoming.write(pieces)

    with (
        connector.open_media(claim.company_name, claim.remote_id, claim.listed_size) as media,
        Scanner() as scanner,
    ):
        chunks, mime = _sniff(media.chunks)
        header = archive.Header(pbx, claim.company_uid, claim.id, claim.kid, mime)
        encryptor = archive.Encryptor(header, cek)
        write([encryptor.prefix])
        for chunk in chunks:
            size += len(chunk)
            plain.update(chunk)
            scanner.feed(chunk)
            write(encryptor.update(chunk))
            if (now := time.monotonic()) - last > ALIVE:
                life.alive()
                last = now
        audio = scanner.finish()
    _check_settled(claim, size, audio)
    write([encryptor.finish()])
    peaks = None if audio.peaks is None else archive.encrypt_peaks(header, cek, audio.peaks)
    return Stored(
        id=claim.id,
        company_id=claim.company_id,
        key_version=claim.key_version,
        generation=generation,
        ecek=keys.wrap(claim.public_key, cek),
        file_size=incoming.size,
        file_sha256=cipher.digest(),
        audio_size=size,
        audio_sha256=plain.digest(),
        mime=mime,
        codec=audio.codec,
        channels=audio.channels,
        sample_rate=audio.sample_rate,
        seconds=audio.seconds,
        data_offset=audio.data_offset,
        data_size=audio.data_size,
        peaks=peaks,
    )


def _sniff(chunks: Iterator[bytes]) -> tuple[Iterator[bytes], str]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 4:
            break

    def all_of_it() -> Iterator[bytes]:
        if head:
            yield head
        yield from chunks

    return all_of_it(), "audio/wav" if head.startswith(b"RIFF") else "audio/mpeg"


def _check_settled(claim: Claim, size: int, audio: AudioInfo) -> None:
    """Raise Growing where the download and the listing disagree and it is not yet known which is
    right.
    """
    if claim.listed_size is not None:
        settled = size == claim.listed_size
        sentence = f"the PBX lists {claim.listed_size} bytes and sent {size}"
    else:
        settled = not audio.unfinished and abs(audio.seconds - claim.duration) <= TOLERANCE
        sentence = f"the PBX lists {claim.duration} s and sent {audio.seconds:.0f} s"
    if settled or (claim.seen_size == size and claim.seen_times + 1 >= SETTLED_TIMES):
        return
    raise Growing(f"{sentence}: the call may still be recorded", size)
