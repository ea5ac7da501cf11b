"""The list of companies, of all PBXs or of one, and reading it again from a PBX."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webui import auth, commands, cursor
from webui.policy import Policy, requires
from webui.queries import companies, pbxs, polls
from webui.settings import connection
from webui.views import pbx as one

routes = Blueprint("companies", __name__)

PAGE = 100


@routes.get("/companies")
@requires(Policy.SEE)
def page() -> str:
    """Show the companies of all PBXs."""
    return _list(None)


@one.routes.get(f"{one.ONE}/companies", endpoint="companies")
@requires(Policy.SEE)
def of_pbx(pbx_id: int) -> str:
    """Show the companies of a PBX."""
    return _list(one.known(pbx_id))


@one.routes.post(f"{one.ONE}/companies/refresh")
@requires(Policy.MANAGE)
def refresh(pbx_id: int) -> Response:
    """Have the poller read the list of companies from the PBX now."""
    pbx = one.known(pbx_id)
    if pbx.state == "active":
        with connection().transaction():
            auth.note(connection(), "pbx.refresh_companies", f"pbx:{pbx_id}")
        auth.say(commands.ask("poller", "companies.refresh", {"pbx": pbx_id}).answer)
    else:
        auth.say("This PBX is suspended: its list of companies is not read.")
    return redirect(url_for("pbx.companies", pbx_id=pbx_id), 303)


def _list(pbx: pbxs.Pbx | None) -> str:
    db, after = connection(), cursor.read("after", int)
    part = request.args.get("q", "").strip()[:100].replace("\0", "")
    pbx_id = pbx.id if pbx else None
    rows = companies.companies(db, pbx_id, part, after[0] if after else None, PAGE + 1)
    return render_template(
        "companies.html",
        pbx=pbx,
        rows=rows[:PAGE],
        sums=companies.sums(db, pbx_id, part),
        part=part,
        running=[poll for poll in polls.running_polls(db) if pbx_id in (None, poll.pbx_id)],
        first=after is None,
        following=rows[PAGE - 1].id if len(rows) > PAGE else None,
    )
