"""A call: its player, notes, and what is known and proven about it."""

import secrets
from uuid import UUID

from flask import Blueprint, abort, render_template

from webui import auth
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import holds, inspections, links, notes, recordings, search
from webui.settings import connection, shared
from webui.views.search import read

routes = Blueprint("recording", __name__)

LISTENS = 20


@routes.get("/recordings/<uuid:recording_id>")
@requires(Policy.FIND)
def page(recording_id: UUID) -> str:
    """Show the page."""
    return show(recording_id, Form({"at": "0:00"}))


def show(recording_id: UUID, note: Form) -> str:
    """Return the page with a form for a note; the search that led here is in its address."""
    db, scope, user = connection(), auth.scope(), auth.user()
    call = recordings.recording(db, recording_id, scope) or abort(404)
    hears = user is not None and user.may(Policy.HEAR)
    sees = user is not None and user.may(Policy.SEE)
    asked = read()
    key = call.started_at, call.id
    older, newer = None, None
    audio = recordings.audio(db, recording_id, scope)
    if not asked.form.errors:
        older, newer = search.neighbours(db, asked.scope, asked.wanted, key)
    return render_template(
        "recording.html",
        call=call,
        audio=audio,
        opens=audio is not None and audio.private_sealed is not None,
        damage=inspections.damage(db, recording_id),
        holds=holds.of_recording(db, recording_id) if sees else [],
        listens=recordings.listens(db, recording_id, LISTENS) if hears else [],
        notes=notes.notes(db, recording_id) if hears else [],
        note=note,
        sees=sees,
        shares=hears and links.may_be_sent(db),
        signs=hears and shared().signing is not None,
        older=older,
        newer=newer,
        asked=asked.asked,
        view=secrets.token_urlsafe(12),
    )
