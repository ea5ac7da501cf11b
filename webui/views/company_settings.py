"""A company's settings, and marking it to be deleted with all its recordings."""

from flask import abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import expiry
from webui import auth
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import companies, holds
from webui.queries.companies import Details
from webui.settings import connection, shared
from webui.views.company import ONE, routes


def _company(company_id: int) -> Details:
    return companies.company(connection(), company_id) or abort(404)


@routes.get(f"{ONE}/settings")
@requires(Policy.SEE)
def settings(company_id: int) -> str:
    """Show the page."""
    return render_template(
        "company_settings.html",
        company=_company(company_id),
        directory=shared().settings.archive / str(company_id),
    )


@routes.get(f"{ONE}/delete")
@requires(Policy.MANAGE)
def delete(company_id: int) -> str:
    """Show what would be deleted."""
    return _page(_company(company_id), Form({}))


@routes.post(f"{ONE}/delete")
@requires(Policy.MANAGE)
def delete_submit(company_id: int) -> Response | tuple[str, int]:
    """Mark the company to be deleted, if its name was typed."""
    db, form, company = connection(), Form.sent(), _company(company_id)
    if form.values.get("name", "") != company.name:
        form.fail("name", f"This is not its name. Type it as it stands here: {company.name}")
    if kept := holds.of_company(db, company_id):
        form.fail("", f"It can't be deleted while legal holds keep it: {', '.join(kept)}.")
    if form.errors:
        return _page(company, form), 422
    with db.transaction():
        marked = companies.request_deletion(db, company_id, auth.account())
        if marked:
            auth.note(
                db, "company.delete", f"company:{company_id}",
                name=company.name, calls=company.calls, bytes=company.bytes,
            )  # fmt: skip
    if not marked:
        form.fail("", "Meanwhile the company is no longer suspended: nothing was marked.")
        return _page(_company(company_id), form), 422
    auth.say(
        f"{company.label} is marked: the housekeeping of the coming night deletes it. Until then"
        " you can cancel that."
    )
    return redirect(url_for("company.settings", company_id=company_id), 303)


@routes.post(f"{ONE}/delete/cancel")
@requires(Policy.MANAGE)
def cancel_delete(company_id: int) -> Response:
    """Take the mark back."""
    db, company = connection(), _company(company_id)
    with db.transaction():
        expiry.one_at_a_time(db)
        cancelled = companies.cancel_deletion(db, company_id)
        if cancelled:
            auth.note(db, "company.cancel_delete", f"company:{company_id}", name=company.name)
    auth.say(
        f"{company.label} is kept. It is suspended again."
        if cancelled
        else f"{company.label} is not marked to be deleted."
    )
    return redirect(url_for("company.settings", company_id=company_id), 303)


def _page(company: Details, form: Form) -> str:
    kept = holds.of_company(connection(), company.id)
    return render_template("company_delete.html", company=company, form=form, holds=kept)
