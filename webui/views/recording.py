"""A call: its player, and what is known and proven about it."""

import secrets
from uuid import UUID

from flask import Blueprint, abort, render_template

from webui.policy import Policy, requires
from webui.queries import holds, recordings
from webui.settings import connection

routes = Blueprint("recording", __name__)


@routes.get("/recordings/<uuid:recording_id>")
@requires(Policy.SEE)
def page(recording_id: UUID) -> str:
    """Show the page."""
    db = connection()
    call = recordings.recording(db, recording_id) or abort(404)
    return render_template(
        "recording.html",
        call=call,
        audio=recordings.audio(db, recording_id),
        holds=holds.of_recording(db, recording_id),
        listens=recordings.listens(db, recording_id),
        view=secrets.token_urlsafe(12),
    )
