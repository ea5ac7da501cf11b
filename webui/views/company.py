"""A company: its recordings, newest first."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint, abort, render_template

from webui import cursor
from webui.policy import Policy, requires
from webui.queries import pbxs, recordings, search
from webui.scope import Scope
from webui.settings import connection

routes = Blueprint("company", __name__)

ONE = "/companies/<int(max=2147483647):company_id>"
PAGE = 50


@routes.get(ONE)
@requires(Policy.SEE)
def page(company_id: int) -> str:
    """Show the page."""
    company = pbxs.company(connection(), company_id) or abort(404)
    before = cursor.read("before", datetime, UUID)
    scope = Scope(companies=(company_id,))
    rows = search.search(connection(), scope, search.Wanted(), before, PAGE + 1).calls
    return render_template(
        "company.html",
        company=company,
        calls=rows[:PAGE],
        closed=recordings.closed(connection(), [call.id for call in rows]),
        first=before is None,
        older=cursor.write(rows[PAGE - 1], "started_at", "id") if len(rows) > PAGE else None,
    )
