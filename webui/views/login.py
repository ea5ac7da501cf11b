"""Logging in, in up to three steps, and out."""

import re
import time

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from common.passwords import RULE, WeakPassword
from webui import auth, user_login
from webui.auth import LoginRefused, Throttled
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries.accounts import Session
from webui.settings import connection

routes = Blueprint("login", __name__)

_OUR_PAGE = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)  # a path of ours: no host, no backslash
OVER = "This step of the login is over. Log in again."
_NEXT = {"open": None, "password": "login.password", "code": "login.code"}

Answer = Response | tuple[str, int] | tuple[str, int, dict[str, str]]


def _next() -> str:
    wanted = request.values.get("next", "")
    return wanted if _OUR_PAGE.fullmatch(wanted) else url_for("home.page")


def _form(status: int = 200, error: str | None = None) -> tuple[str, int]:
    typed = request.form if request.method == "POST" else {}
    return render_template("login.html", error=error, typed=typed, next=_next()), status


def _retry(refused: LoginRefused) -> dict[str, str]:
    return {"Retry-After": str(refused.seconds)} if isinstance(refused, Throttled) else {}


@routes.get("/login")
@requires(Policy.PUBLIC)
def form() -> Answer:
    """Show the form."""
    return redirect(_next(), 303) if auth.user() else _form()


@routes.post("/login")
@requires(Policy.PUBLIC)
def submit() -> Answer:
    """Log somebody in: an administrator, or a user of a PBX."""
    where, name, password = (request.form.get(field, "") for field in ("pbx", "name", "password"))
    try:
        if where.strip().casefold() == "admin":
            step = auth.log_in(connection(), name, password)
        else:
            user_login.log_in(connection(), where, name, password)
            step = "open"
    except LoginRefused as refused:
        statuses = {Throttled: 429, user_login.NotChecked: 503}
        return *_form(statuses.get(type(refused), 403), str(refused)), _retry(refused)
    following = _NEXT[step]
    return redirect(url_for(following, next=_next()) if following else _next(), 303)


def _begun(step: str) -> Session | None:
    """Return the session of this browser where it has just this step to do."""
    session = auth.session()
    return session if session and session.step == step else None


def _password_page(session: Session, form: Form, status: int = 200) -> tuple[str, int]:
    page = render_template(
        "set_password.html", form=form, account=session.account, rule=RULE, next=_next()
    )
    return page, status


@routes.get("/login/password")
@requires(Policy.PUBLIC)
def password() -> Answer:
    """Show the page that the factory password opens."""
    session = _begun("password")
    return _password_page(session, Form({})) if session else redirect(_next(), 303)


@routes.post("/login/password")
@requires(Policy.PUBLIC)
def set_password() -> Answer:
    """Set the first password and open the session."""
    session = _begun("password") or abort(403, OVER)
    form = Form.sent()
    new, again = form.secret("new"), form.secret("again")
    if new != again:
        form.fail("again", "This is not what you entered above.")
    if not form.errors:
        try:
            auth.change_password(connection(), session.account, new)
        except WeakPassword as weak:
            form.fail("new", str(weak))
    return _password_page(session, form, 422) if form.errors else redirect(_next(), 303)


@routes.get("/login/code")
@requires(Policy.PUBLIC)
def code() -> Answer:
    """Ask for the code of the second factor."""
    session = _begun("code")
    return _code_page(session) if session else redirect(_next(), 303)


def _code_page(session: Session, status: int = 200, error: str | None = None) -> tuple[str, int]:
    return render_template("code.html", account=session.account, error=error, next=_next()), status


@routes.post("/login/code")
@requires(Policy.PUBLIC)
def enter_code() -> Answer:
    """Open the session with a code."""
    session = _begun("code") or abort(403, OVER)
    try:
        auth.finish_code(
            connection(), session.account, request.form.get("code", "")[:20], time.time()
        )
    except LoginRefused as refused:
        status = 429 if isinstance(refused, Throttled) else 403
        return *_code_page(session, status, str(refused)), _retry(refused)
    return redirect(_next(), 303)


@routes.post("/logout")
@requires(Policy.PUBLIC)
def leave() -> Response:
    """Log out, also from a login that was not finished."""
    session = auth.session()
    if session is not None:
        auth.log_out(connection(), session)
    return redirect(url_for("login.form"), 303)
