"""A PBX: its settings, its polls, and which recordings wait and why."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from webui import auth, commands, cursor
from webui.policy import Policy, requires
from webui.queries import pbxs, polls
from webui.settings import connection

routes = Blueprint("pbx", __name__, url_prefix="/pbxs/<int(max=2147483647):pbx_id>")

POLLS = 10
COMPANIES = 25  # per poll, those at which most happened
WAITING = 50


def _pbx(pbx_id: int) -> pbxs.Pbx:
    return pbxs.pbx(connection(), pbx_id) or abort(404)


@routes.get("")
@requires(Policy.SEE)
def page(pbx_id: int) -> str:
    """Show the page."""
    db, pbx = connection(), _pbx(pbx_id)
    history = polls.polls_of(db, pbx_id, POLLS)
    found: dict[int, list[polls.PollCompany]] = defaultdict(list)
    for row in polls.poll_companies(db, [poll.id for poll in history], COMPANIES):
        found[row.poll_id].append(row)
    running = next((poll for poll in history if poll.finished_at is None), None)
    return render_template(
        "pbx.html",
        pbx=pbx,
        companies=pbxs.companies_of(db, pbx_id),
        running=running,
        history=[poll for poll in history if poll.finished_at],
        found=found,
        groups=polls.waiting_groups(db, pbx_id),
    )


@routes.get("/waiting")
@requires(Policy.SEE)
def waiting(pbx_id: int) -> str:
    """Show the recordings that wait."""
    pbx, after = _pbx(pbx_id), cursor.read("after", datetime, datetime, UUID)
    rows = polls.waiting(connection(), pbx_id, after, WAITING + 1)
    return render_template(
        "waiting.html",
        pbx=pbx,
        groups=polls.waiting_groups(connection(), pbx_id),
        rows=rows[:WAITING],
        first=after is None,
        following=cursor.write(rows[WAITING - 1], "next_try_at", "started_at", "id")
        if len(rows) > WAITING
        else None,
    )


@routes.post("/poll")
@requires(Policy.MANAGE)
def poll(pbx_id: int) -> Response:
    """Ask for a poll now."""
    pbx = _pbx(pbx_id)
    if pbx.state != "active":
        abort(409, "This PBX is suspended: it is not polled.")
    commands.poll_now(connection(), pbx_id)
    auth.say("A poll was asked for. It starts as soon as a running one ends.")
    return redirect(url_for("pbx.page", pbx_id=pbx_id), 303)
