"""Remote support: opened and ended here, held by a service of its own."""

from datetime import UTC, datetime

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import support
from common.errors import ConfigError
from webui import auth
from webui.policy import Policy, requires
from webui.settings import connection, shared

routes = Blueprint("support", __name__, url_prefix="/settings/support")


@routes.get("")
@requires(Policy.MANAGE)
def page() -> str:
    """Show whether the vendor's engineers can reach this machine."""
    found = support.status(shared().settings.support_directory, datetime.now(UTC))
    return render_template("support.html", status=found)


@routes.post("/connect")
@requires(Policy.MANAGE)
def connect() -> Response:
    """Ask for the tunnel."""
    db, directory = connection(), shared().settings.support_directory
    try:
        with db.transaction():
            auth.note(db, "support.connect", "")  # undone where it can't be asked for
            began = support.connect(directory, auth.account(), datetime.now(UTC))
    except ConfigError:
        auth.say("Remote support is not installed on this machine.")
    else:
        auth.say("Remote support is being started." if began else "Remote support is on already.")
    return redirect(url_for("support.page"), 303)


@routes.post("/disconnect")
@requires(Policy.MANAGE)
def disconnect() -> Response:
    """Ask for the end of the tunnel."""
    was_on = support.disconnect(shared().settings.support_directory)
    if was_on:
        auth.note(connection(), "support.disconnect", "")
    auth.say("Remote support ends now." if was_on else "Remote support was not on.")
    return redirect(url_for("support.page"), 303)
