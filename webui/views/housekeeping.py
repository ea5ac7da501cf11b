"""Housekeeping: what was deleted and why, what the brake stopped, and a run at once."""

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from webui import auth, commands, cursor
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import inspections, purges
from webui.settings import connection

routes = Blueprint("housekeeping", __name__, url_prefix="/housekeeping")

PAGE = 30
DAMAGES, REPAIRED = 100, 20


@routes.get("")
@requires(Policy.SEE)
def page() -> tuple[str, int]:
    """Show the page."""
    return _page(Form({}))


def _page(form: Form, status: int = 200) -> tuple[str, int]:
    db, before = connection(), cursor.read("before", int)
    found = purges.purges(db, before[0] if before else None, PAGE + 1)
    return render_template(
        "housekeeping.html",
        form=form,
        purges=found[:PAGE],
        braked=purges.braked(db),
        inspections=inspections.last(db) if before is None else [],
        counts=inspections.counts(db),
        damages=inspections.damages(db, DAMAGES) if before is None else [],
        repaired=inspections.repaired(db, REPAIRED) if before is None else [],
        first=before is None,
        older=cursor.write(found[PAGE - 1], "id") if len(found) > PAGE else None,
    ), status


@routes.post("/run")
@requires(Policy.MANAGE)
def run() -> Response:
    """Have the housekeeper delete what has expired now."""
    auth.note(connection(), "purge.run", "")
    auth.say(commands.ask("housekeeper", "purge.run", {}).answer)
    return redirect(url_for("housekeeping.page"), 303)


@routes.post("/sweep")
@requires(Policy.MANAGE)
def sweep() -> Response:
    """Have the housekeeper compare the files with the database now."""
    auth.note(connection(), "sweep.run", "")
    auth.say(commands.ask("housekeeper", "sweep.run", {}).answer)
    return redirect(url_for("housekeeping.page"), 303)


@routes.post("/permit")
@requires(Policy.MANAGE)
def permit() -> Response | tuple[str, int]:
    """Let the deletion that the brake stopped happen."""
    form, db = Form.sent(), connection()
    stopped = purges.braked(db) or abort(404)
    typed = form.text("calls").replace(",", "").replace(".", "")
    if typed != str(stopped.planned_calls):
        form.fail("calls", f"Enter {stopped.planned_calls:,} to confirm it.")
        return _page(form, 422)
    with db.transaction():
        purges.permit(db, stopped.planned_calls, auth.account())
        auth.note(db, "purge.permit", f"purge:{stopped.id}", calls=stopped.planned_calls)
    auth.say(commands.ask("housekeeper", "purge.run", {}).answer)
    return redirect(url_for("housekeeping.page"), 303)
