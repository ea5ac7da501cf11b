"""The sound of a recording: for the player, as a download, and drawn. All of it is audited.

A file that was altered is answered with an error and never with sound: each piece is authenticated
before it is sent, the first of them before the status line.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from flask import Blueprint, Response, abort, after_this_request, request

from common.errors import CallStashError
from common.playback import Opened, Source, open_recording
from webui import auth, errors, ranges
from webui.database import Database
from webui.policy import Policy, requires
from webui.queries import accounts, recordings
from webui.scope import Scope
from webui.settings import connection, shared

log = logging.getLogger(__name__)
routes = Blueprint("media", __name__, url_prefix="/recordings/<uuid:recording_id>")

# A range without an end gets this much (RFC 9110, 15.3.7), so that a player which has buffered
# enough does not hold a thread for hours: it asks for the rest when it needs it.
OPEN_END = 2 * 1024 * 1024
FIRST = 64 * 1024  # is authentic before the status line is sent

_VIEW = re.compile(r"[A-Za-z0-9_-]{8,32}")
_ENDINGS = {"audio/mpeg": "mp3"}


@dataclass(frozen=True)
class Listener:
    """Who asked for which recording; what can't be given to them is reported."""

    recording_id: UUID
    account: str
    address: str | None
    scope: Scope
    database: Database

    @property
    def subject(self) -> str:
        return f"recording:{self.recording_id}"

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report a recording that is refused, then let the error pass."""
        try:
            yield
        except CallStashError as error:
            log.error("a recording is refused: %s", error, extra={"recording": self.recording_id})
            accounts.note(
                self.database.connection(),
                self.account,
                "recording.refused",
                self.subject,
                self.address,
                reason=str(error),
            )
            raise

    def open(self) -> Opened:
        """Open the recording; the file is closed with the answer."""
        row = recordings.audio(connection(), self.recording_id, self.scope) or abort(404)
        with self.reporting():
            opened = open_recording(shared().store, shared().keys, row)
        after_this_request(lambda response: _close_with(response, opened))
        return opened


def _close_with(response: Response, opened: Opened) -> Response:
    response.call_on_close(opened.file.close)
    return response


def _listener(recording_id: UUID) -> Listener:
    return Listener(recording_id, auth.account(), auth.address(), auth.scope(), shared().database)


def _is_given(response: Response) -> bool:
    return request.method == "GET" and response.status_code < 300


@routes.get("/audio")
@requires(Policy.HEAR, page=False)
def audio(recording_id: UUID) -> Response:
    """Send what a browser can play."""
    return play(_listener(recording_id))


def play(listener: Listener) -> Response:
    """Return a recording for the player."""
    opened = listener.open()
    with listener.reporting():
        response = _send(listener, opened, opened.rendition())
    if _is_given(response):
        view = request.args.get("view", "")
        known = view if _VIEW.fullmatch(view) else None
        accounts.note_play(
            connection(), listener.account, listener.subject, listener.address, known
        )
    return response


@routes.get("/original")
@requires(Policy.HEAR)
def original(recording_id: UUID) -> Response:
    """Send the bytes that the PBX sent, as a file to keep."""
    return _download(_listener(recording_id), lambda opened: opened)


@routes.get("/wav")
@requires(Policy.HEAR)
def wav(recording_id: UUID) -> Response:
    """Send the recording as WAV, as a file to keep."""
    return _download(_listener(recording_id), Opened.wav)


def _download(listener: Listener, form: Callable[[Opened], Source]) -> Response:
    call = recordings.recording(connection(), listener.recording_id, listener.scope) or abort(404)
    opened = listener.open()
    with listener.reporting():
        source = form(opened)
        response = _send(listener, opened, source)
    start, ending = shared().local(call.started_at), _ENDINGS.get(source.mime, "wav")
    name = f"{start:%Y-%m-%d %H-%M-%S} {call.caller} to {call.callee}.{ending}"
    response.headers["Content-Disposition"] = disposition(name)
    if _is_given(response):
        accounts.note(
            connection(),
            listener.account,
            "recording.download",
            listener.subject,
            listener.address,
            form="as sent" if source is opened else "WAV",
            range=response.headers.get("Content-Range", ""),
        )
    return response


@routes.get("/peaks")
@requires(Policy.HEAR, page=False)
def peaks(recording_id: UUID) -> Response:
    """Send the waveform."""
    return waveform(_listener(recording_id))


def waveform(listener: Listener) -> Response:
    """Return the waveform of a recording for the player."""
    opened = listener.open()
    with listener.reporting():
        found = opened.peaks()
    return Response(abort(404) if found is None else found, mimetype="application/octet-stream")


def disposition(name: str) -> str:
    """Return a Content-Disposition that saves under this name, made harmless (RFC 6266)."""
    clean = re.sub(r"[^\w.+ -]", "_", name).strip(" .")[:150]
    plain = clean.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def _send(listener: Listener, opened: Opened, source: Source) -> Response:
    tag = f'"{opened.row.audio_sha256.hex()}-{source.size:x}"'
    headers = {"Accept-Ranges": "bytes", "ETag": tag}
    part = None
    if request.method == "GET" and request.headers.get("If-Range", tag) == tag:
        try:
            part = ranges.wanted(request.headers.get("Range"), source.size)
        except ranges.NotSatisfiable:
            body, status = errors.page(416)
            return Response(body, status, headers | {"Content-Range": f"bytes */{source.size}"})
    start, stop = (part.start, part.stop) if part else (0, source.size)
    if part:
        stop = min(stop, start + OPEN_END) if part.open_end else stop
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{source.size}"
    pieces: Iterator[bytes] = iter(())
    if request.method == "GET":
        pieces = _first_now(listener, source.read_range(start, stop))
    headers["Content-Length"] = str(stop - start)
    return Response(pieces, 206 if part else 200, headers, content_type=source.mime)


def _first_now(listener: Listener, pieces: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    while sum(map(len, held)) < FIRST and (piece := next(pieces, None)) is not None:
        held.append(piece)

    def all_of_it() -> Iterator[bytes]:
        yield from held
        with listener.reporting():  # the connection breaks off: nobody takes it for complete
            yield from pieces

    return all_of_it()
