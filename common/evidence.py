"""Evidence of calls: their sound, its encrypted original, what is known of them, and who heard it.

`SHA256SUMS` names every file and is signed by the box, so that `openssl` and `sha256sum` are enough
to see that nothing was changed. The content keys of these calls are given along: they open nothing
that is not there in clear, and show that the sound is what the archive holds.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jinja2 import Environment, StrictUndefined

from common import __version__, leaving_tools
from common.db import Connection
from common.errors import ArchiveError
from common.leaving import Call, Company, Listen, Signer
from common.playback import KeyRing, Opened, open_recording
from common.queries import leaving
from common.store import Store

SUMS, SIGNATURE, SIGNER = "SHA256SUMS", "SHA256SUMS.sig", "signer.pem"
ENDINGS = {"audio/mpeg": "mp3"}
HOW = {"recording.play": "played it", "recording.download": "downloaded it",
       "recording.evidence": "took it as evidence"}  # fmt: skip
BLOCK = 1 << 20
Part = tuple[str, Iterator[bytes]]


@dataclass(frozen=True)
class Known:
    """A call, whose it is, and who heard it."""

    call: Call
    company: Company
    heard: list[Listen]


def known(db: Connection, recording_id: UUID) -> Known | None:
    """Return all that is known of a call; None where it is not stored."""
    call = leaving.call(db, recording_id)
    if call is None:
        return None
    company = leaving.company_of(db, call.company_id)
    return Known(call, company, leaving.listens(db, recording_id))


class Pack:
    """The files of an evidence pack in the order in which they must be written."""

    def __init__(self, store: Store, ring: KeyRing, signer: Signer, box: UUID) -> None:
        self._store = store
        self._ring = ring
        self._signer = signer
        self._box = box
        self._sums: list[str] = []

    def parts(self, calls: Sequence[Known], now: datetime) -> Iterator[Part]:
        """Yield name and content of each file: exhaust one before asking for the next.

        Raises ArchiveError, KeyUnavailable and DecoderFailed; nothing is signed then.
        """
        facts = []
        for one in calls:
            opened = open_recording(self._store, self._ring, one.call)
            with closing(opened.file):
                yield from self._sound(opened)
            facts.append(_facts(one, opened.content_key))
        described = {
            "format": "callstash-evidence/1", "made_at": now.isoformat(), "box": str(self._box),
            "made_by": f"CallStash {__version__}", "signer": self._signer.fingerprint,
            "calls": facts,
        }  # fmt: skip
        yield self._counted("evidence.json", iter([json.dumps(described, indent=1).encode()]))
        yield self._counted("evidence.html", iter([_cover(described).encode()]))
        sums = "".join(self._sums).encode()
        yield SUMS, iter([sums])
        yield SIGNATURE, iter([self._signer.sign(sums)])
        yield SIGNER, iter([self._signer.pem])

    def _sound(self, opened: Opened) -> Iterator[Part]:
        call = opened.row.recording_id
        wav = opened.wav()
        if wav.mime == "audio/wav":
            yield self._counted(f"audio/{call}.wav", wav.read_range(0, wav.size))
        ending = ENDINGS.get(opened.mime, "wav")
        yield self._counted(f"original/{call}.{ending}", opened.read_range(0, opened.size))
        yield self._counted(f"encrypted/{call}.csrec", _encrypted(opened))

    def _counted(self, name: str, pieces: Iterator[bytes]) -> Part:
        def hashed() -> Iterator[bytes]:
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
                yield piece
            self._sums.append(f"{digest.hexdigest()}  {name}\n")

        return name, hashed()


def _encrypted(opened: Opened) -> Iterator[bytes]:
    """Yield the file as it lies; one that is not what was stored is refused at its end."""
    digest = hashlib.sha256()
    opened.file.seek(0)
    while block := opened.file.read(BLOCK):
        digest.update(block)
        yield block
    if digest.digest() != opened.row.file_sha256:
        raise ArchiveError("the file is not what was stored")


def _facts(one: Known, content_key: bytes) -> dict[str, object]:
    call, company = one.call, one.company
    return {
        "id": str(call.recording_id), "name_on_pbx": call.remote_id, "pbx": company.url,
        "company": {"id": str(company.uid), "name": company.name, "label": company.label},
        "start": call.started_at.isoformat(), "seconds": call.seconds,
        "direction": call.direction, "caller": call.caller, "caller_name": call.caller_name,
        "callee": call.callee, "callee_name": call.callee_name,
        "listed_at": call.listed_at.isoformat(), "stored_at": call.stored_at.isoformat(),
        "mime": call.mime, "codec": call.codec, "channels": call.channels,
        "sample_rate": call.sample_rate, "data_offset": call.data_offset,
        "data_bytes": call.data_size, "audio_bytes": call.audio_size,
        "audio_sha256": call.audio_sha256.hex(), "file_bytes": call.file_size,
        "file_sha256": call.file_sha256.hex(), "version": call.generation + 1,
        "key_id": call.kid, "ecek": base64.b64encode(call.ecek).decode(),
        "content_key": content_key.hex(),
        "heard": [
            {"at": listen.at.isoformat(), "who": listen.recipient or listen.actor,
             "by_link": listen.recipient is not None, "what": HOW[listen.action]}
            for listen in one.heard
        ],
    }  # fmt: skip


def _cover(described: Mapping[str, object]) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(leaving_tools.read("evidence.html").decode())
    return template.render(described, **leaving_tools.look())
