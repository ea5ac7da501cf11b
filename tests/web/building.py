"""An archive for the tests of the web UI: rows as the daemons write them, real files."""

import hashlib
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import UUID, uuid4

from common import archive, keys, seal
from common.db import Connection
from common.store import Store
from daemons.archiver.audio import Scanner

MASTER, MASTER_PUBLIC = seal.generate()
SIGNING = os.urandom(32)
COMPANY_UID = UUID("6f1f4f0e-54a3-4c0c-9c51-3a0d5f6f0d11")


@cache
def company_key(uid: UUID = COMPANY_UID) -> keys.OwnKey:
    """Return a key pair; making one takes long, so all tests share it."""
    return keys.generate_company_key(uid, 1, MASTER_PUBLIC)


def signs(db: Connection, secret: bytes) -> None:
    """Write down with which key the box signs."""
    db.execute(
        "INSERT INTO signing_key (public_key) VALUES (%s)", [keys.signing_public_key(secret)]
    )


def ulaw_wav(samples: bytes, rate: int = 8000) -> tuple[bytes, int]:
    """Return a µ-law WAV file with these samples, and where they begin."""
    form = struct.pack("<HHIIHHH", 7, 1, rate, rate, 1, 8, 0)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(samples))
    body = b"WAVE" + chunks
    return b"RIFF" + struct.pack("<I", len(body) + len(samples)) + body + samples, len(body) + 8


def tone(seconds: float, rate: int = 8000) -> bytes:
    """Return µ-law samples that differ all along, so that a misplaced range shows."""
    return bytes(
        int(128 + 127 * math.sin(n / 7 + n * n / 9e6)) & 255 for n in range(int(seconds * rate))
    )


@dataclass
class Archive:
    """An archive with one PBX, to which companies and recordings are added."""

    db: Connection
    store: Store
    pbx_uid: UUID = field(default_factory=uuid4)
    pbx: int = 0
    poll: int = 0

    def __post_init__(self) -> None:
        self.pbx = self._insert(
            "INSERT INTO pbx (uid, name, url, token_sealed, timezone)"
            " VALUES (%s, 'Head office', 'https://pbx.example.com', 'x', 'Europe/London')"
            " RETURNING id",
            [self.pbx_uid],
        )
        self.poll = self._insert(
            "INSERT INTO poll (pbx_id, trigger, state, finished_at)"
            " VALUES (%s, 'first', 'finished', now()) RETURNING id",
            [self.pbx],
        )

    def _insert(self, query: str, arguments: Sequence[object]) -> int:
        row = self.db.execute(query, arguments).fetchone()
        assert row is not None
        return int(row[0])

    def company(self, label: str = "Harbour Legal", uid: UUID = COMPANY_UID) -> int:
        """Add a company with a key."""
        key = company_key(uid)
        company = self._insert(
            "INSERT INTO company (uid, pbx_id, name, label) VALUES (%s, %s, %s, %s) RETURNING id",
            [uid, self.pbx, label.lower().replace(" ", "_"), label],
        )
        self.db.execute(
            "INSERT INTO company_key (company_id, version, kid, public_key, private_sealed)"
            " VALUES (%s, %s, %s, %s, %s)",
            [company, key.version, key.kid, key.public_key, key.private_sealed],
        )
        return company

    def listed(
        self,
        company: int,
        *,
        started_at: datetime = datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
        duration: int = 3,
        caller: str = "1001 Alice Example",
        callee: str = "+44 20 7946 0018",
        direction: str | None = "outbound",
        owners: Sequence[int] = (),
    ) -> UUID:
        """Add a recording that waits to be fetched; `owners` are users whose own call it is."""
        recording = uuid4()
        self.db.execute(
            "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at,"
            " duration, caller, callee, direction, next_try_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now())",
            [
                recording, self.pbx, company, f"rec-{recording}", self.poll, started_at,
                duration, caller, callee, direction,
            ],
        )  # fmt: skip
        for user in owners:
            self.db.execute(
                "INSERT INTO recording_owner VALUES (%s, %s, %s)", [recording, user, started_at]
            )
        return recording

    def user(self, login: str, name: str = "") -> int:
        """Add a user of the PBX."""
        return self._insert(
            "INSERT INTO pbx_user (pbx_id, remote_id, login, name)"
            " VALUES (%s, %s, %s, %s) RETURNING id",
            [self.pbx, f"id of {login}", login, name or f"{login.capitalize()} Example"],
        )

    def stored(
        self,
        company: int,
        samples: bytes | None = None,
        *,
        peaks: bytes | None = bytes([1, 1]) + bytes(range(0, 250, 5)),
        uid: UUID = COMPANY_UID,
        **listed: object,
    ) -> tuple[UUID, bytes]:
        """Add a recording with its file; return its id and what the PBX sent."""
        audio, _ = ulaw_wav(tone(3) if samples is None else samples)
        return self.sent(company, audio, "audio/wav", peaks=peaks, uid=uid, **listed), audio

    def sent(
        self,
        company: int,
        audio: bytes,
        mime: str,
        *,
        peaks: bytes | None = None,
        uid: UUID = COMPANY_UID,
        **listed: object,
    ) -> UUID:
        """Add a recording of any codec with its file; return its id."""
        with Scanner() as scanner:
            scanner.feed(audio)
            facts = scanner.finish()
        recording = self.listed(company, **listed)  # type: ignore[arg-type]
        key, content_key = company_key(uid), os.urandom(32)
        header = archive.Header(pbx=self.pbx_uid, co=uid, rec=recording, kid=key.kid, mime=mime)
        encryptor = archive.Encryptor(header, content_key)
        pieces = [encryptor.prefix, *encryptor.update(audio), encryptor.finish()]
        path = self.path(recording)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(pieces))
        sealed = archive.encrypt_peaks(header, content_key, peaks) if peaks else None
        self.db.execute(
            "UPDATE recording SET state = 'stored', stored_at = now(), next_try_at = NULL,"
            " attempts = 1 WHERE id = %s",
            [recording],
        )
        self.db.execute(
            "INSERT INTO recording_audio (recording_id, company_id, key_version, ecek, file_size,"
            " file_sha256, audio_size, audio_sha256, mime, codec, channels, sample_rate, seconds,"
            " data_offset, data_size, peaks) VALUES (%s, %s, 1, %s, %s, %s, %s, %s, %s, %s, %s,"
            " %s, %s, %s, %s, %s)",
            [
                recording, company, keys.wrap(key.public_key, content_key), path.stat().st_size,
                hashlib.sha256(path.read_bytes()).digest(), len(audio),
                hashlib.sha256(audio).digest(), mime, facts.codec, facts.channels,
                facts.sample_rate, facts.seconds, facts.data_offset, facts.data_size, sealed,
            ],
        )  # fmt: skip
        return recording

    def path(self, recording: UUID) -> Path:
        """Return where the file of a recording lies."""
        row = self.db.execute(
            "SELECT company_id, started_at FROM recording WHERE id = %s", [recording]
        ).fetchone()
        assert row is not None
        return self.store.path(row[0], row[1], recording)
