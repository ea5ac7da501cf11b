"""The audit log: who did what, when, from where; to search and to take along."""

import ipaddress
from collections.abc import Iterator
from datetime import datetime

from flask import Blueprint, Response, render_template, request, stream_with_context

from common import tables
from webui import auth, cursor, deeds
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import audit
from webui.settings import connection, shared

routes = Blueprint("audit", __name__)

PAGE, CHUNK = 100, 2000
COLUMNS = ("at", "actor", "action", "subject", "address", "detail")


def _filter(form: Form) -> audit.Filter:
    address = form.text("address", longest=45) or None
    try:
        address = str(ipaddress.ip_address(address)) if address else None
    except ValueError:
        form.fail("address", "Enter an IP address, such as 192.0.2.7.")
        address = None
    return audit.Filter(
        actor=form.text("who", longest=64) or None,
        action=form.text("what", longest=64) or None,
        subject=form.text("about", longest=128) or None,
        address=address,
        since=form.day("since", shared().zone),
        until=form.day("until", shared().zone, 1),
        text=form.text("text") or None,
    )


@routes.get("/audit")
@requires(Policy.MANAGE)
def page() -> tuple[str, int]:
    """Show the page."""
    form = Form(request.args)
    wanted, before = _filter(form), cursor.read("before", datetime, int)
    found = [] if form.errors else audit.deeds(connection(), wanted, before, PAGE + 1)
    asked = {name: value for name, value in form.values.items() if value and name != "before"}
    return render_template(
        "audit.html",
        form=form,
        deeds=found[:PAGE],
        first=before is None,
        asked=asked,
        older=cursor.write(found[PAGE - 1], "at", "id") if len(found) > PAGE else None,
        actions=sorted(deeds.WORDS.items(), key=lambda pair: pair[1]),
    ), 422 if form.errors else 200


@routes.get("/audit.csv")
@requires(Policy.MANAGE)
def export() -> Response | tuple[str, int]:
    """Send everything that was searched for as a table."""
    form = Form(request.args)
    wanted = _filter(form)
    if form.errors:
        return page()
    auth.note(connection(), "audit.export", "", **{k: v for k, v in form.values.items() if v})
    response = Response(stream_with_context(_table(wanted)), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="callstash-audit.csv"'
    return response


def _table(wanted: audit.Filter) -> Iterator[str]:
    yield tables.BEGIN + tables.lines([COLUMNS])
    before: tuple[datetime, int] | None = None
    while found := audit.deeds(connection(), wanted, before, CHUNK):
        yield tables.lines([[getattr(deed, name) for name in COLUMNS] for deed in found])
        before = found[-1].at, found[-1].id
