"""What the recipient of a link sees: one recording to listen to, without an account.

Looking at the page uses nothing up, since mail scanners do; pressing the button opens the link for
this browser. Every piece of sound asks again whether the link still works.
"""

import hashlib
import math

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from common import passwords
from webui import auth
from webui.policy import Policy, requires
from webui.queries import accounts, links, recordings
from webui.queries.links import Link
from webui.scope import EVERYTHING
from webui.settings import connection, shared
from webui.views import media
from webui.views.links import digest

routes = Blueprint("listen", __name__, url_prefix="/listen/<token>")

_OVER = "This link has expired, was used up or withdrawn. Ask who sent it for another one."
_WRONG = "This code is wrong. Ask who sent you the link for the right one."
ALL_DAY = 72 * 60  # minutes: as long as any link works
_PAUSES = 60  # minutes that somebody may take for listening, beside the length of the call


def _browser() -> bytes:
    return hashlib.sha256(b"callstash visit\0" + auth.token().encode()).digest()


def _link(token: str) -> Link:
    found = links.link(connection(), digest(token), _browser()) if token.isascii() else None
    if found is None or (found.is_used_up and found.visit_until is None):
        abort(404, _OVER)
    return found


@routes.get("")
@requires(Policy.PUBLIC)
def page(token: str) -> tuple[str, int]:
    """Show the player to a browser that opened the link, a button to others."""
    return _page(token, _link(token))


def _page(token: str, link: Link, error: str = "", status: int = 200) -> tuple[str, int]:
    audio = recordings.audio(connection(), link.recording_id, EVERYTHING) or abort(404, _OVER)
    view = hashlib.sha256(_browser() + str(link.visit_until).encode()).hexdigest()[:16]
    shown = render_template(
        "listen.html", token=token, link=link, audio=audio, error=error, view=view
    )
    return shown, status


@routes.post("")
@requires(Policy.PUBLIC)
def redeem(token: str) -> BaseResponse | tuple[str, int]:
    """Open the link for this browser."""
    link, db = _link(token), connection()
    there = url_for("listen.page", token=token)
    if link.visit_until is not None:
        return redirect(there, 303)
    if link.code_hash is not None:
        code = "".join(filter(str.isdigit, request.form.get("code", "")[:20]))
        if not links.count_code(db, link.id):
            abort(404, _OVER)
        if not passwords.verify(link.code_hash, code):
            accounts.note(db, f"link:{link.id}", "link.code_failed", _subject(link), auth.address())
            return _page(token, _link(token), _WRONG, 403)
    minutes = ALL_DAY
    if link.most_plays is not None and link.code_hash is None:
        audio = recordings.audio(db, link.recording_id, EVERYTHING) or abort(404, _OVER)
        minutes = _PAUSES + math.ceil(audio.seconds / 60)
    agent = request.headers.get("User-Agent", "").replace("\0", "")[:200]
    with db.transaction():
        if link.code_hash is not None and not links.use_code(db, link.id):
            abort(404, _OVER)
        if not links.open_link(db, link.id, _browser(), minutes, auth.address(), agent):
            abort(404, _OVER)
        accounts.note(
            db, f"link:{link.id}", "link.open", _subject(link), auth.address(),
            play=link.plays + 1,
        )  # fmt: skip
    return redirect(there, 303)


def _subject(link: Link) -> str:
    return f"recording:{link.recording_id}"


def _listener(token: str) -> media.Listener:
    link = _link(token)
    if link.visit_until is None:
        abort(403, _OVER)
    return media.Listener(
        link.recording_id, f"link:{link.id}", auth.address(), EVERYTHING, shared().database
    )


@routes.get("/audio")
@requires(Policy.PUBLIC, page=False)
def audio(token: str) -> Response:
    """Send what a browser can play."""
    return media.play(_listener(token))


@routes.get("/peaks")
@requires(Policy.PUBLIC, page=False)
def peaks(token: str) -> Response:
    """Send the waveform."""
    return media.waveform(_listener(token))
