"""Legal holds: what may not be deleted, whatever retention says."""

import re
from datetime import datetime
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from common import expiry
from webui import auth, cursor
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import holds, pbxs
from webui.queries.holds import Terms
from webui.settings import connection, shared

routes = Blueprint("holds", __name__, url_prefix="/holds")

PAGE, RELEASED = 50, 50
NOTHING = Terms(None, None, None, None, None)

Answer = Response | tuple[str, int]


@routes.get("")
@requires(Policy.SEE)
def page() -> str:
    """Show all holds."""
    db = connection()
    return render_template(
        "holds.html", active=holds.active(db), released=holds.released(db, RELEASED)
    )


@routes.get("/add")
@requires(Policy.MANAGE)
def add() -> tuple[str, int]:
    """Show the form for a new hold."""
    return _form_page(Form(dict(request.args)))


def _form_page(form: Form, terms: Terms | None = None, status: int = 200) -> tuple[str, int]:
    db = connection()
    return render_template(
        "hold_add.html",
        form=form,
        companies=[("", "all companies")] + [(c.id, c.label) for c in pbxs.companies(db)],
        terms=terms,
        covered=holds.covered(db, terms) if terms else None,
        most=terms.most if terms else 0,
    ), status


def _terms(form: Form) -> Terms:
    company = form.text("company", longest=10)
    if company and not (company.isdigit() and pbxs.company(connection(), int(company))):
        form.fail("company", "Choose one of these companies.")
        company = ""
    number = re.sub(r"[^0-9]", "", form.text("number", longest=40))
    if form.values["number"] and len(number) < 2:
        form.fail("number", "Enter a phone number or an extension, of at least two digits.")
    party = form.text("party", longest=80)
    if party and len(party) < 2:
        form.fail("party", "Enter at least two letters of the name.")
    since, until = form.day("since", shared().zone), form.day("until", shared().zone, 1)
    if since and until and since >= until:
        form.fail("until", "The last day is before the first.")
    terms = Terms(int(company) if company else None, number or None, party or None, since, until)
    if terms == NOTHING and not form.flag("everything") and not form.errors:
        form.fail("everything", "Say what is held, or tick that everything is.")
    return terms


@routes.post("/add")
@requires(Policy.MANAGE)
def create() -> Answer:
    """Show what a new hold would cover, and create it when that is confirmed."""
    form, db = Form.sent(), connection()
    name = form.text("name", "Give it a name, such as that of the case.", 80)
    reason = form.text("reason", "Say why: whoever asks later will want to know.", 1000)
    terms = _terms(form)
    if form.errors:
        return _form_page(form, status=422)
    if form.values.get("confirm") != "yes":
        return _form_page(form, terms)
    with db.transaction():
        expiry.one_at_a_time(db)
        number = holds.add(db, name, reason, terms, auth.account())
        told = {key: str(value) for key, value in vars(terms).items() if value is not None}
        auth.note(db, "hold.add", f"hold:{number}", name=name, reason=reason, **told)
    auth.say("The legal hold is in force.")
    return redirect(url_for("holds.hold", hold_id=number), 303)


@routes.get("/<int(max=2147483647):hold_id>")
@requires(Policy.SEE)
def hold(hold_id: int) -> tuple[str, int]:
    """Show a hold and what it covers."""
    return _hold_page(hold_id, Form({}))


def _hold_page(hold_id: int, form: Form, status: int = 200) -> tuple[str, int]:
    db, before = connection(), cursor.read("before", datetime, UUID)
    found = holds.hold(db, hold_id) or abort(404)
    calls = holds.calls(db, found.terms, before, PAGE + 1)
    return render_template(
        "hold.html",
        hold=found,
        form=form,
        covered=holds.covered(db, found.terms),
        most=found.terms.most,
        calls=calls[:PAGE],
        first=before is None,
        older=cursor.write(calls[PAGE - 1], "started_at", "id") if len(calls) > PAGE else None,
    ), status


@routes.post("/<int(max=2147483647):hold_id>/release")
@requires(Policy.MANAGE)
def release(hold_id: int) -> Answer:
    """Release a hold."""
    form, db = Form.sent(), connection()
    found = holds.hold(db, hold_id) or abort(404)
    reason = form.text("reason", "Say why: whoever asks later will want to know.", 1000)
    if form.errors:
        return _hold_page(hold_id, form, 422)
    with db.transaction():
        if holds.release(db, hold_id, auth.account(), reason):
            auth.note(db, "hold.release", f"hold:{hold_id}", name=found.name, reason=reason)
            auth.say("The legal hold is released. Retention applies again to what it covered.")
    return redirect(url_for("holds.page"), 303)
