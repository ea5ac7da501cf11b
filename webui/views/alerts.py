"""Alerts: what needs a person now, and what did."""

from datetime import datetime

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from webui import auth, cursor
from webui.policy import Policy, requires
from webui.queries import alerts
from webui.settings import connection

routes = Blueprint("alerts", __name__, url_prefix="/alerts")

PAGE = 50


@routes.get("")
@requires(Policy.SEE)
def page() -> str:
    """Show the page."""
    db, before = connection(), cursor.read("before", datetime, int)
    over = alerts.ended(db, (before[0], before[1]) if before else None, PAGE + 1)
    return render_template(
        "alerts.html",
        alerts=alerts.unended(db) if before is None else [],
        over=over[:PAGE],
        first=before is None,
        older=cursor.write(over[PAGE - 1], "ended_at", "id") if len(over) > PAGE else None,
    )


@routes.post("/<int(max=9223372036854775807):alert_id>/acknowledge")
@requires(Policy.MANAGE)
def acknowledge(alert_id: int) -> Response:
    """Note that somebody looks after it: no more reminders."""
    db = connection()
    if not alerts.exists(db, alert_id):
        abort(404)
    with db.transaction():
        done = alerts.acknowledge(db, alert_id, auth.account())
        if done is not None:
            auth.note(db, "alert.acknowledge", f"alert:{alert_id}", what=done.title)
    auth.say(
        "Acknowledged: it is not mailed again unless it gets worse."
        if done
        else "It is over, or somebody has acknowledged it already."
    )
    return redirect(url_for("alerts.page"), 303)
