"""Completeness: what the PBXs listed against what is stored, and the time that is left."""

from datetime import UTC, date, datetime

from flask import Blueprint, abort, render_template, request

from common import pbx
from webui import cursor
from webui.policy import Policy, requires
from webui.queries import completeness, pbxs
from webui.settings import connection

routes = Blueprint("completeness", __name__, url_prefix="/completeness")

PAGE, TROUBLES = 31, 100


@routes.get("")
@requires(Policy.SEE)
def page() -> str:
    """Show the page."""
    db, now = connection(), datetime.now(UTC)
    wanted = request.args.get("company", "")
    company = None
    if wanted:
        number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0
        company = pbxs.company(db, number) or abort(404)
    before = cursor.read("before", str)
    try:
        day = date.fromisoformat(before[0]) if before else None
    except ValueError:
        abort(400)
    found = completeness.days(db, company.id if company else None, day, PAGE + 1)
    clocks = []
    for clock in completeness.clocks(db):
        since = min(filter(None, (clock.unfetched, clock.unlisted)), default=None)
        left = (since + pbx.KEPT - now).total_seconds() if since else None
        clocks.append((clock, left))
    return render_template(
        "completeness.html",
        company=company,
        clocks=clocks,
        days=found[:PAGE],
        troubles=completeness.troubles(db, TROUBLES) if day is None and not company else [],
        checked_at=completeness.checked_at(db),
        first=day is None,
        older=found[PAGE - 1].day if len(found) > PAGE else None,
    )
