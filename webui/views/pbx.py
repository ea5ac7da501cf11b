"""A PBX: its settings, its polls, and which recordings wait and why."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from webui import auth, commands, cursor
from webui.policy import Policy, requires
from webui.queries import companies, pbxs, polls
from webui.settings import connection

routes = Blueprint("pbx", __name__)

ONE = "/pbxs/<int(max=2147483647):pbx_id>"
POLLS = 10
COMPANIES = 25  # per poll, those at which most happened
PAGE = 100
WAITING = 50


def known(pbx_id: int) -> pbxs.Pbx:
    return pbxs.pbx(connection(), pbx_id) or abort(404)


@routes.get(ONE)
@requires(Policy.SEE)
def page(pbx_id: int) -> str:
    """Show the page."""
    db, pbx, before = connection(), known(pbx_id), cursor.read("before", int)
    newest = polls.polls_of(db, pbx_id, before[0] if before else None, POLLS + 1)
    history = newest[:POLLS]
    found: dict[int, list[polls.PollCompany]] = defaultdict(list)
    for row in polls.poll_companies(db, [poll.id for poll in history], COMPANIES):
        found[row.poll_id].append(row)
    return render_template(
        "pbx.html",
        pbx=pbx,
        sums=companies.sums(db, pbx_id),
        running=next((poll for poll in history if poll.finished_at is None), None),
        history=[poll for poll in history if poll.finished_at],
        found=found,
        first=before is None,
        older=history[-1].id if len(newest) > POLLS else None,
        groups=polls.waiting_groups(db, pbx_id),
    )


@routes.get(f"{ONE}/polls/<int(max=9223372036854775807):poll_id>")
@requires(Policy.SEE)
def poll_page(pbx_id: int, poll_id: int) -> str:
    """Show a poll with all its companies."""
    db, pbx, after = connection(), known(pbx_id), cursor.read("after", int)
    rows = polls.all_companies(db, poll_id, after[0] if after else None, PAGE + 1)
    return render_template(
        "poll.html",
        pbx=pbx,
        poll=polls.poll(db, pbx_id, poll_id) or abort(404),
        rows=rows[:PAGE],
        first=after is None,
        following=rows[PAGE - 1].company_id if len(rows) > PAGE else None,
    )


@routes.get(f"{ONE}/waiting")
@requires(Policy.SEE)
def waiting(pbx_id: int) -> str:
    """Show the recordings that wait."""
    pbx, after = known(pbx_id), cursor.read("after", datetime, datetime, UUID)
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


@routes.post(f"{ONE}/poll")
@requires(Policy.MANAGE)
def poll(pbx_id: int) -> Response:
    """Ask for a poll now."""
    pbx = known(pbx_id)
    if pbx.state != "active":
        abort(409, "This PBX is suspended: it is not polled.")
    commands.poll_now(connection(), pbx_id)
    auth.say("A poll was asked for. It starts as soon as a running one ends.")
    return redirect(url_for("pbx.page", pbx_id=pbx_id), 303)
