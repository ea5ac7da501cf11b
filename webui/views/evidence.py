"""A call as evidence: its sound, its encrypted original, and what is known of it, signed."""

import zipfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from itertools import chain
from uuid import UUID

from flask import Blueprint, Response, abort, request

from common import evidence
from common.evidence import Pack, Part
from common.leaving import Signer
from common.queries import leaving
from webui import auth
from webui.policy import Policy, requires
from webui.queries import accounts, recordings
from webui.settings import connection, shared
from webui.views.media import Listener, disposition

routes = Blueprint("evidence", __name__, url_prefix="/recordings/<uuid:recording_id>")


class _Pipe:
    """What was written to it since it was last emptied: a ZIP file that nobody keeps."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._held.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: everything is here already."""

    def empty(self) -> bytes:
        """Return what was written."""
        held, self._held = self._held, []
        return b"".join(held)


def zipped(parts: Iterator[Part], folder: str) -> Iterator[bytes]:
    """Yield files as a ZIP archive, which is made while it is sent."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, pieces in parts:
            with archive.open(f"{folder}/{name}", "w", force_zip64=True) as out:
                for piece in pieces:
                    out.write(piece)
                    yield pipe.empty()
    yield pipe.empty()


@routes.get("/evidence")
@requires(Policy.HEAR)
def pack(recording_id: UUID) -> Response:
    """Send a call as evidence."""
    db, ours = connection(), shared()
    call = recordings.recording(db, recording_id, auth.scope()) or abort(404)
    one = evidence.known(db, recording_id)
    if one is None or ours.signing is None:
        abort(404)
    signer = Signer(ours.signing, leaving.signing_key(db))
    listener = Listener(recording_id, auth.account(), auth.address(), auth.scope(), ours.database)
    made = Pack(ours.store, ours.keys, signer, leaving.box(db))
    start = ours.local(call.started_at)
    folder = f"evidence {start:%Y-%m-%d %H-%M-%S}"

    def sent() -> Generator[bytes, None, None]:
        with listener.reporting():  # the connection breaks off: nothing is signed, so it is refused
            yield from zipped(made.parts([one], datetime.now(UTC)), folder)

    pieces = sent()
    response = Response(mimetype="application/zip")
    response.headers["Content-Disposition"] = disposition(f"{folder}.zip")
    if request.method == "HEAD":
        return response
    first = next(pieces)  # an altered file is an error page and not half an archive
    response.response = chain([first], pieces)
    response.call_on_close(pieces.close)
    accounts.note(
        db, listener.account, "recording.evidence", listener.subject, listener.address,
        signer=signer.fingerprint,
    )  # fmt: skip
    return response
