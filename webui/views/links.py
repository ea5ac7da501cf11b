"""Links to a recording by mail: sent, watched, and revoked by who sent them."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import mail, passwords
from common.db import Connection
from webui import auth, cursor, words
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import links, recordings
from webui.queries.recordings import Recording
from webui.settings import connection, shared
from webui.views.mail import addresses

routes = Blueprint("links", __name__)

PAGE, MOST = 50, 10
HOURS = [(1, "1 hour"), (4, "4 hours"), (12, "12 hours"), (24, "1 day"), (48, "2 days"),
         (72, "3 days")]  # fmt: skip
PLAYS = [("", "any number of times"), *((n, words.count(n, "time")) for n in (1, 2, 3, 5, 10))]
DEFAULT = 12
_OFF = "Links by mail are switched off, or no e-mail server is set up: ask an administrator."


@dataclass(frozen=True)
class Code:
    """A one-time code, which the sender tells the recipient in another way than by mail."""

    recipient: str
    code: str


def _can_be_heard(db: Connection, recording_id: UUID) -> None:
    """Refuse what is not stored, or what only its company can open."""
    audio = recordings.audio(db, recording_id, auth.scope())
    if audio is None or audio.private_sealed is None:
        abort(404)


@routes.get("/recordings/<uuid:recording_id>/share")
@requires(Policy.HEAR)
def share(recording_id: UUID) -> tuple[str, int]:
    """Show the form."""
    return _form(recording_id, Form({"hours": DEFAULT}))


def _form(recording_id: UUID, form: Form, status: int = 200) -> tuple[str, int]:
    db = connection()
    call = recordings.recording(db, recording_id, auth.scope()) or abort(404)
    _can_be_heard(db, recording_id)
    if not links.may_be_sent(db):
        abort(403, _OFF)
    page = render_template("share.html", form=form, call=call, hours=HOURS, plays=PLAYS, most=MOST)
    return page, status


@routes.post("/recordings/<uuid:recording_id>/share")
@requires(Policy.HEAR)
def send(recording_id: UUID) -> Response | tuple[str, int]:
    """Put a mail with a link in line for each recipient."""
    form, db = Form.sent(), connection()
    call = recordings.recording(db, recording_id, auth.scope()) or abort(404)
    recipients, wrong = addresses(form.text("recipients", "Enter an e-mail address.", 1000))
    if wrong:
        form.fail("recipients", f"These are not e-mail addresses: {', '.join(wrong)}")
    if len(recipients) > MOST:
        form.fail("recipients", f"These are {len(recipients)} addresses; {MOST} are the most.")
    message = form.text("message", longest=2000)
    hours = form.choice("hours", [str(value) for value, _ in HOURS])
    plays = form.choice("plays", [str(value) for value, _ in PLAYS])
    if form.errors:
        return _form(recording_id, form, 422)
    if not links.may_be_sent(db):
        abort(403, _OFF)
    _can_be_heard(db, recording_id)
    codes = []
    with db.transaction():
        for recipient in recipients:
            code = f"{secrets.randbelow(10**6):06}" if form.flag("code") else None
            _add(db, call, recipient, message, int(hours), int(plays) if plays else None, code)
            if code:
                codes.append(Code(recipient, f"{code[:3]} {code[3:]}"))
    if codes:  # they are shown here and never again
        return render_template("link_codes.html", call=call, codes=codes), 200
    auth.say(f"The link is on its way to {', '.join(recipients)}.")
    return redirect(url_for("links.page"), 303)


def _add(
    db: Connection,
    call: Recording,
    recipient: str,
    message: str,
    hours: int,
    plays: int | None,
    code: str | None,
) -> None:
    user = auth.user()
    assert user is not None
    token = secrets.token_urlsafe(32)
    ends = datetime.now(UTC) + timedelta(hours=hours)
    address = parseaddr(recipient)[1]
    paragraphs = [
        f"{user.name} sends you a recording of a call of {words.day_of(call.started_at)},"
        f" {words.time_of(call.started_at)}.",
        *([message] if message else []),
        "Listen to it here:",
        url_for("listen.page", token=token, _external=True),
        f"This link works until {words.moment(ends)}"
        + (f" and can be opened {words.count(plays, 'time')}." if plays else ".")
        + (f" {user.name} tells you a code that it asks for." if code else ""),
    ]
    title = f"{user.name} sends you a call recording"
    mail_id = mail.put(db, "link", recipient, title, paragraphs, ends)
    link = links.add(
        db, digest(token), call.id, (user.account, user.name), address, message, mail_id, hours,
        plays, passwords.encoded(code) if code else None,
    )  # fmt: skip
    auth.note(
        db, "link.create", f"recording:{call.id}", link=link, recipient=address, hours=hours,
        plays=plays, code=bool(code),
    )  # fmt: skip


def digest(token: str) -> bytes:
    """Return what is kept of the token of a link."""
    return hashlib.sha256(b"callstash link\0" + token.encode()).digest()


@routes.get("/links")
@requires(Policy.HEAR)
def page() -> str:
    """Show the links that one sent; an administrator sees those of all."""
    before = cursor.read("before", int)
    found = links.sent(connection(), _sender(), before[0] if before else None, PAGE + 1)
    return render_template(
        "links.html",
        links=found[:PAGE],
        first=before is None,
        older=cursor.write(found[PAGE - 1], "id") if len(found) > PAGE else None,
        everybody=_sender() is None,
        now=shared().local(datetime.now(UTC)),
    )


def _sender() -> str | None:
    user = auth.user()
    assert user is not None
    return None if user.scope.everything else user.account


@routes.post("/links/<int(max=2147483647):link_id>/revoke")
@requires(Policy.HEAR)
def revoke(link_id: int) -> Response:
    """End a link at once."""
    db = connection()
    with db.transaction():
        recording = links.revoke(db, link_id, _sender(), auth.account()) or abort(404)
        auth.note(db, "link.revoke", f"recording:{recording}", link=link_id)
    auth.say("The link no longer works.")
    return redirect(url_for("links.page"), 303)
