"""Logging in and out."""

import re

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webui import auth
from webui.auth import LoginRefused, Throttled
from webui.policy import Policy, requires
from webui.settings import connection, shared

routes = Blueprint("login", __name__)

_END_USER = (
    "Logging in with a PBX account is not possible yet. Administrators enter admin as the PBX."
)
_OUR_PAGE = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)  # a path of ours: no host, no backslash


def _next() -> str:
    wanted = request.values.get("next", "")
    return wanted if _OUR_PAGE.fullmatch(wanted) else url_for("home.page")


def _form(status: int = 200, error: str | None = None) -> tuple[str, int]:
    typed = request.form if request.method == "POST" else {}
    return render_template("login.html", error=error, typed=typed, next=_next()), status


@routes.get("/login")
@requires(Policy.PUBLIC)
def form() -> Response | tuple[str, int]:
    """Show the form."""
    return redirect(_next(), 303) if auth.user() else _form()


@routes.post("/login")
@requires(Policy.PUBLIC)
def submit() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Log an administrator in."""
    if request.form.get("pbx", "").strip().casefold() != "admin":
        return _form(403, _END_USER)
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        auth.log_in(connection(), shared().settings, name, password)
    except Throttled as refused:
        return *_form(429, str(refused)), {"Retry-After": str(refused.seconds)}
    except LoginRefused as refused:
        return _form(403, str(refused))
    return redirect(_next(), 303)


@routes.post("/logout")
@requires(Policy.SEE)
def leave() -> Response:
    """Log out."""
    known = auth.user()
    assert known is not None
    auth.log_out(connection(), known)
    return redirect(url_for("login.form"), 303)
