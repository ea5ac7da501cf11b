"""A company's recordings to take along, encrypted: prepared by the housekeeper, sent from here."""

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response as Answer

from common import exports
from common.leaving import Signer
from common.queries import leaving
from webui import auth, commands, errors, ranges
from webui.bundle import Bundle
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import accounts, pbxs
from webui.queries import exports as queries
from webui.queries.exports import Export
from webui.queries.pbxs import Company
from webui.settings import connection, shared
from webui.views.company import ONE
from webui.views.media import disposition

routes = Blueprint("exports", __name__, url_prefix=f"{ONE}/exports")


def _company(company_id: int) -> Company:
    return pbxs.company(connection(), company_id) or abort(404)


@routes.get("")
@requires(Policy.MANAGE)
def page(company_id: int) -> str:
    """Show the exports of a company, and how they get on."""
    return _page(_company(company_id), Form({}))


def _page(company: Company, form: Form) -> str:
    return render_template(
        "exports.html",
        company=company,
        form=form,
        exports=queries.of_company(connection(), company.id),
        days=timedelta(days=exports.DAYS),
        second=timedelta(seconds=1),
    )


@routes.post("")
@requires(Policy.MANAGE)
def make(company_id: int) -> Answer | tuple[str, int]:
    """Have an export prepared."""
    company, form, zone = _company(company_id), Form.sent(), shared().zone
    since, until = form.day("since", zone), form.day("until", zone, 1)
    part = form.text("part")
    if since and until and until <= since:
        form.fail("until", "This is before the first day.")
    if not form.errors:
        asked = {"company": company_id, "since": since and since.isoformat(),
                 "until": until and until.isoformat(), "part": part}  # fmt: skip
        answer = commands.ask("housekeeper", "export.make", asked)
        if answer.succeeded:
            auth.say(answer.answer)
            return redirect(url_for("exports.page", company_id=company_id), 303)
        form.fail("", answer.answer)
    return _page(company, form), 422


@routes.post("/<uuid:export_id>/cancel")
@requires(Policy.MANAGE)
def cancel(company_id: int, export_id: UUID) -> Answer:
    """Have an export deleted, or no longer prepared."""
    _company(company_id)
    asked = {"company": company_id, "export": str(export_id)}
    auth.say(commands.ask("housekeeper", "export.cancel", asked).answer)
    return redirect(url_for("exports.page", company_id=company_id), 303)


@routes.get("/<uuid:export_id>/archive.zip")
@requires(Policy.MANAGE)
def archive(company_id: int, export_id: UUID) -> Response:
    """Send an export, or a part of it."""
    company, db = _company(company_id), connection()
    one = queries.ready(db, company_id, export_id) or abort(404)
    bundle = _bundle(one)
    headers = {"Accept-Ranges": "bytes", "ETag": bundle.tag}
    part = None
    if request.method == "GET" and request.headers.get("If-Range", bundle.tag) == bundle.tag:
        try:
            part = ranges.wanted(request.headers.get("Range"), bundle.size)
        except ranges.NotSatisfiable:
            body, status = errors.page(416, "The export has no such part.")
            return Response(body, status, headers | {"Content-Range": f"bytes */{bundle.size}"})
    start, stop = (part.start, part.stop) if part else (0, bundle.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{bundle.size}"
    name = disposition(f"{company.label} {one.asked_at:%Y-%m-%d}.zip")
    headers |= {"Content-Length": str(stop - start), "Content-Disposition": name}
    response = Response(status=206 if part else 200, headers=headers, mimetype="application/zip")
    if request.method == "HEAD":
        return response
    sending = shared().sending
    if not sending.acquire(blocking=False):
        raise TooManyRequests(
            "Other exports are being sent. This one can be fetched when they are done.",
            retry_after=600,
        )  # fmt: skip
    response.call_on_close(sending.release)
    accounts.note(
        db, auth.account(), "export.fetch", f"company:{company_id}", auth.address(),
        export=str(export_id), range=headers.get("Content-Range", ""),
    )  # fmt: skip
    response.response = bundle.read(start, stop)
    return response


def _bundle(one: Export) -> Bundle:
    db, ours = connection(), shared()
    if ours.signing is None or one.ended_at is None:
        abort(404)
    signer = Signer(ours.signing, leaving.signing_key(db))
    directory = ours.settings.exports / str(one.id)
    try:
        return Bundle(directory, ours.store, one.company_id, signer, leaving.box(db), one.ended_at)
    except OSError:
        abort(404, "The files of this export are gone. Have it prepared again.")
