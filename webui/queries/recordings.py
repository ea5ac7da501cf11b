"""A recording: the call, its stored file, and who heard it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from common.playback import Audio
from webui.queries.rows import rows
from webui.scope import CONDITION, Scope


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
    caller_name: str
    callee: str
    callee_name: str
    direction: str | None
    listed_at: datetime
    stored_at: datetime | None
    next_try_at: datetime | None
    attempts: int
    reason: str | None
    last_error: str | None


def recording(db: Connection, recording_id: UUID, scope: Scope) -> Recording | None:
    """Return a recording; None where there is none, or it is out of scope."""
    query = (
        "SELECT r.id, r.company_id, c.label, r.pbx_id, p.name AS pbx_name, r.remote_id,"
        " r.state::text, r.started_at, r.duration, r.caller, r.caller_name, r.callee,"
        " r.callee_name, r.direction::text, r.listed_at, r.stored_at, r.next_try_at, r.attempts,"
        " r.waiting::text AS reason, r.last_error FROM recording r"
        " JOIN company c ON c.id = r.company_id"
        f" JOIN pbx p ON p.id = r.pbx_id WHERE r.id = %(id)s AND {CONDITION}"
    )
    arguments = {**scope.arguments, "id": recording_id}
    return next(iter(rows(db, Recording, query, arguments)), None)


def closed(db: Connection, calls: Sequence[UUID]) -> set[UUID]:
    """Return those of some calls that only their company can open: its private key is not here."""
    query = (
        "SELECT a.recording_id FROM recording_audio a JOIN company_key k"
        " ON k.company_id = a.company_id AND k.version = a.key_version"
        " WHERE a.recording_id = ANY(%s) AND k.private_sealed IS NULL"
    )
    return {row[0] for row in db.execute(query, [list(calls)])}


def audio(db: Connection, recording_id: UUID, scope: Scope) -> Audio | None:
    """Return the stored file of a recording; None where none is stored, or out of scope."""
    query = (
        "SELECT a.recording_id, a.company_id, c.uid AS company_uid, r.started_at, a.generation,"
        " a.key_version, k.kid, k.private_sealed, a.ecek, a.file_size, a.file_sha256, a.audio_size,"
        " a.audio_sha256, a.mime, a.codec, a.channels, a.sample_rate, a.seconds, a.data_offset,"
        " a.data_size, a.peaks FROM recording_audio a JOIN recording r ON r.id = a.recording_id"
        " AND r.company_id = a.company_id JOIN company c ON c.id = a.company_id"
        " JOIN company_key k ON k.company_id = a.company_id AND k.version = a.key_version"
        f" WHERE a.recording_id = %(id)s AND r.state = 'stored' AND {CONDITION}"
    )
    arguments = {**scope.arguments, "id": recording_id}
    return next(iter(rows(db, Audio, query, arguments)), None)


@dataclass(frozen=True)
class Listen:
    """Somebody heard a recording: when, and who, which of a link is its recipient."""

    at: datetime
    actor: str
    action: str
    recipient: str | None


def listens(db: Connection, recording_id: UUID, limit: int) -> list[Listen]:
    """Return who played a recording and took it along, the last first."""
    query = (
        "SELECT a.at, a.actor, a.action, l.recipient FROM audit a LEFT JOIN link l"
        " ON a.actor = 'link:' || l.id WHERE a.subject = %s"
        " AND a.action IN ('recording.play', 'recording.download', 'recording.evidence')"
        " ORDER BY a.at DESC, a.id DESC LIMIT %s"
    )
    return rows(db, Listen, query, [f"recording:{recording_id}", limit])
