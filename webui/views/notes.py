"""Notes on a call: for all who may hear it; removed by their authors only."""

import re
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, redirect, url_for
from werkzeug.wrappers import Response

from webui import auth
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import notes, recordings
from webui.settings import connection
from webui.views.recording import show
from webui.views.search import read

routes = Blueprint("notes", __name__, url_prefix="/recordings/<uuid:recording_id>/notes")

LONGEST = 2000
_TIME = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2})", re.ASCII)


def second(text: str) -> int | None:
    """Return a time such as 4:05 or 1:02:03 in seconds; None for what is none."""
    match = _TIME.fullmatch(text.strip())
    if match is None or int(match[3]) > 59:
        return None
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])


@routes.post("")
@requires(Policy.HEAR)
def add(recording_id: UUID) -> Response | tuple[str, int]:
    """Write a note."""
    db, form, user = connection(), Form.sent(), auth.user()
    audio = recordings.audio(db, recording_id, auth.scope()) or abort(404)
    body = form.text("body", "Write something.", LONGEST)
    at = second(form.text("at", "Enter a time in the call, such as 1:05.", 12) or "0:00")
    if at is None or at > audio.seconds + 1:
        form.fail("at", "Enter a time in the call, such as 1:05.")
    if form.errors or at is None or user is None:
        return show(recording_id, form), 422
    with db.transaction():
        note = notes.add(db, recording_id, at, body, user.account, user.name)
        auth.note(db, "note.add", f"recording:{recording_id}", note=note)
    return redirect(f"{_page(recording_id)}#t={at}", 303)


def _page(recording_id: UUID) -> str:
    asked: dict[str, Any] = {**read().asked}
    return url_for("recording.page", recording_id=recording_id, **asked)


@routes.post("/<int:note_id>/remove")
@requires(Policy.HEAR)
def remove(recording_id: UUID, note_id: int) -> Response:
    """Remove a note of one's own."""
    db = connection()
    if recordings.recording(db, recording_id, auth.scope()) is None or note_id >= 1 << 63:
        abort(404)
    with db.transaction():
        if not notes.remove(db, recording_id, note_id, auth.account()):
            abort(404)
        auth.note(db, "note.remove", f"recording:{recording_id}", note=note_id)
    return redirect(_page(recording_id), 303)
