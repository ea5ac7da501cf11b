"""Recordings: lists, one call, and its stored file."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows


@dataclass(frozen=True)
class Call:
    """A row of a list of recordings."""

    id: UUID
    state: str
    started_at: datetime
    duration: int
    caller: str
    callee: str
    direction: str | None


def calls(
    db: Connection, company_id: int, before: tuple[datetime, UUID] | None, limit: int
) -> list[Call]:
    """Return the recordings of a company, newest first, older than the key of a row."""
    older = "AND (started_at, id) < (%(start)s, %(id)s)" if before else ""
    query = (
        "SELECT id, state::text, started_at, duration, caller, callee, direction::text"
        f" FROM recording WHERE company_id = %(company)s {older}"
        " ORDER BY started_at DESC, id DESC LIMIT %(limit)s"
    )
    start, recording = before or (None, None)
    arguments = {"company": company_id, "start": start, "id": recording, "limit": limit}
    return rows(db, Call, query, arguments)


@dataclass(frozen=True)
class Recording:
    """All that is known of a call."""

    id: UUID
    company_id: int
    label: str
    pbx_id: int
    pbx_name: str
    remote_id: str
    state: str
    started_at: datetime
    duration: int
    caller: str
    callee: str
    direction: str | None
    listed_at: datetime
    stored_at: datetime | None
    next_try_at: datetime | None
    attempts: int
    reason: str | None
    last_error: str | None


def recording(db: Connection, recording_id: UUID) -> Recording | None:
    """Return a recording."""
    query = (
        "SELECT r.id, r.company_id, c.label, r.pbx_id, p.name AS pbx_name, r.remote_id,"
        " r.state::text, r.started_at, r.duration, r.caller, r.callee, r.direction::text,"
        " r.listed_at, r.stored_at, r.next_try_at, r.attempts, r.waiting::text AS reason,"
        " r.last_error FROM recording r JOIN company c ON c.id = r.company_id"
        " JOIN pbx p ON p.id = r.pbx_id WHERE r.id = %s"
    )
    return next(iter(rows(db, Recording, query, [recording_id])), None)


@dataclass(frozen=True)
class Audio:
    """The stored file of a recording, and what opens it."""

    recording_id: UUID
    company_id: int
    company_uid: UUID
    started_at: datetime
    generation: int
    key_version: int
    kid: str
    private_sealed: bytes | None
    ecek: bytes
    file_size: int
    file_sha256: bytes
    audio_size: int
    audio_sha256: bytes
    mime: str
    codec: str
    channels: int
    sample_rate: int
    seconds: float
    data_offset: int
    data_size: int
    peaks: bytes | None


def audio(db: Connection, recording_id: UUID) -> Audio | None:
    """Return the stored file of a recording; None where none is stored."""
    query = (
        "SELECT a.recording_id, a.company_id, c.uid AS company_uid, r.started_at, a.generation,"
        " a.key_version, k.kid, k.private_sealed, a.ecek, a.file_size, a.file_sha256, a.audio_size,"
        " a.audio_sha256, a.mime, a.codec, a.channels, a.sample_rate, a.seconds, a.data_offset,"
        " a.data_size, a.peaks FROM recording_audio a JOIN recording r ON r.id = a.recording_id"
        " AND r.company_id = a.company_id JOIN company c ON c.id = a.company_id"
        " JOIN company_key k ON k.company_id = a.company_id AND k.version = a.key_version"
        " WHERE a.recording_id = %s AND r.state = 'stored'"
    )
    return next(iter(rows(db, Audio, query, [recording_id])), None)


@dataclass(frozen=True)
class Listens:
    """How often a recording was played and downloaded."""

    plays: int
    downloads: int
    last_at: datetime | None


def listens(db: Connection, recording_id: UUID) -> Listens:
    """Return what the audit log says of a recording."""
    query = (
        "SELECT count(*) FILTER (WHERE action = 'recording.play') AS plays,"
        " count(*) FILTER (WHERE action = 'recording.download') AS downloads,"
        " max(at) FILTER (WHERE action IN ('recording.play', 'recording.download')) AS last_at"
        " FROM audit WHERE subject = %s"
    )
    return rows(db, Listens, query, [f"recording:{recording_id}"])[0]
