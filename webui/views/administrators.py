"""The administrators' accounts, as sysadmin sees them."""

from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from webui import auth
from webui.policy import Policy, requires
from webui.queries import accounts
from webui.settings import connection, shared

routes = Blueprint("administrators", __name__, url_prefix="/settings/administrators")


@routes.get("")
@requires(Policy.MANAGE)
def page() -> str:
    """Show the page."""
    db, settings = connection(), shared().settings
    return render_template(
        "administrators.html",
        administrators=accounts.administrators(db),
        sessions=accounts.sessions(db, settings.session_idle_minutes, settings.session_hours),
    )


@routes.post("/sessions/<uuid:session_id>/end")
@requires(Policy.MANAGE)
def end_session(session_id: UUID) -> Response:
    """End anybody's session."""
    db = connection()
    with db.transaction():
        whose = accounts.end_session_by_id(db, session_id)
        if whose is None:
            abort(404)
        auth.note(db, "session.end", f"account:{whose}")
    auth.say("That browser is logged out.")
    return redirect(url_for("administrators.page"), 303)


@routes.post("/<any(sysadmin, admin):account>/log-out")
@requires(Policy.MANAGE)
def log_out(account: str) -> Response:
    """End all sessions of an account, but this one."""
    db, user = connection(), auth.user()
    assert user is not None
    with db.transaction():
        count = accounts.end_sessions(db, account, but=user.token_sha256)
        auth.note(db, "session.end_all", f"account:{account}", ended=count)
    auth.say(f"{account} is logged out everywhere{' else' if account == user.account else ''}.")
    return redirect(url_for("administrators.page"), 303)
