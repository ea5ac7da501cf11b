"""One's own account: password, second factor, and the browsers that are logged in."""

import time
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from common.passwords import RULE, WeakPassword
from webui import auth, factor
from webui.auth import Throttled
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import accounts
from webui.settings import connection, shared

routes = Blueprint("account", __name__, url_prefix="/account")

Answer = Response | tuple[str, int]


def _back() -> Response:
    return redirect(url_for("account.page"), 303)


def _check_password(form: Form, field: str) -> None:
    """Note on the form where this is not the password of who is logged in."""
    try:
        if not auth.check_password(connection(), auth.account(), form.secret(field)):
            form.fail(field, "This is not your password.")
    except Throttled as refused:
        form.fail(field, str(refused))


@routes.get("")
@requires(Policy.OWN)
def page() -> tuple[str, int]:
    """Show the page."""
    return _page(Form({}))


def _page(form: Form, status: int = 200) -> tuple[str, int]:
    db, settings, user = connection(), shared().settings, auth.user()
    assert user is not None
    open_sessions = accounts.sessions(db, settings.session_idle_minutes, settings.session_hours)
    return render_template(
        "account.html",
        form=form,
        rule=RULE,
        sessions=[one for one in open_sessions if one.account == user.account],
        has_factor=accounts.factor(db, user.account) is not None,
    ), status


@routes.post("/password")
@requires(Policy.OWN)
def change_password() -> Answer:
    """Change the password, which ends all other sessions."""
    form = Form.sent()
    new, again = form.secret("new"), form.secret("again")
    if new != again:
        form.fail("again", "This is not what you entered above.")
    if not form.errors:
        _check_password(form, "current")
    if not form.errors:
        try:
            auth.change_password(connection(), auth.account(), new)
        except WeakPassword as weak:
            form.fail("new", str(weak))
    if form.errors:
        return _page(form, 422)
    return _back()


@routes.get("/second-factor")
@requires(Policy.OWN)
def second_factor() -> tuple[str, int]:
    """Show the secret for an authenticator app, or how to switch the second factor off."""
    return _factor_page(Form({"secret": factor.generate()}))


def _factor_page(form: Form, status: int = 200) -> tuple[str, int]:
    name, secret = auth.account(), form.values.get("secret", "")
    width, path = factor.picture(factor.address(secret, name, request.host))
    return render_template(
        "second_factor.html",
        form=form,
        is_on=accounts.factor(connection(), name) is not None,
        width=width,
        path=path,
        groups=[secret[start : start + 4] for start in range(0, len(secret), 4)],
    ), status


@routes.post("/second-factor")
@requires(Policy.OWN)
def switch_on() -> Answer:
    """Switch the second factor on, once a code shows that the app has the secret."""
    form, db = Form.sent(), connection()
    secret, code = factor.read(form.text("secret")), form.text("code", "Enter the six digits.")
    if secret is None:
        abort(400)
    if accounts.factor(db, auth.account()) is not None:
        return _back()
    step = factor.matching_step(secret, code, time.time())
    if step is None:
        form.fail("code", "This is not the code that belongs to the picture. Wait for the next.")
    _check_password(form, "password")
    if form.errors or step is None:
        return _factor_page(form, 422)
    with db.transaction():
        factor.switch_on(db, shared().keys, auth.account(), secret, step)
        auth.note(db, "factor.on", f"account:{auth.account()}")
    auth.say("From now on, logging in asks for a code.")
    return _back()


@routes.post("/second-factor/off")
@requires(Policy.OWN)
def switch_off() -> Answer:
    """Switch the second factor off."""
    form, db, name = Form.sent(), connection(), auth.account()
    form.values["secret"] = factor.generate()
    code = form.text("code", "Enter the six digits.")
    _check_password(form, "password")
    if not form.errors and not factor.accept(db, shared().keys, name, code, time.time()):
        form.fail("code", "This code is wrong, or was used before. Wait for the next one.")
    if form.errors:
        return _factor_page(form, 422)
    with db.transaction():
        accounts.set_factor(db, name, None, 0)
        auth.note(db, "factor.off", f"account:{name}")
    auth.say("Logging in no longer asks for a code.")
    return _back()


@routes.post("/sessions/<uuid:session_id>/end")
@requires(Policy.OWN)
def end_session(session_id: UUID) -> Response:
    """End one of one's own sessions."""
    db, settings = connection(), shared().settings
    known = accounts.sessions(db, settings.session_idle_minutes, settings.session_hours)
    if not any(one.id == session_id and one.account == auth.account() for one in known):
        abort(404)
    with db.transaction():
        accounts.end_session_by_id(db, session_id)
        auth.note(db, "session.end", f"account:{auth.account()}")
    auth.say("That browser is logged out.")
    return _back()


@routes.post("/sessions/end-others")
@requires(Policy.OWN)
def end_others() -> Response:
    """End all of one's own sessions but this one."""
    db, user = connection(), auth.user()
    assert user is not None
    with db.transaction():
        count = accounts.end_sessions(db, user.account, but=user.token_sha256)
        auth.note(db, "session.end_others", f"account:{user.account}", ended=count)
    auth.say("All other browsers are logged out.")
    return _back()
