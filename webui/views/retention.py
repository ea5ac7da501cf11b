"""How long recordings are kept: nothing shorter is saved before it was shown what that deletes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import expiry
from webui import auth
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import pbxs, retention
from webui.queries.retention import Limit
from webui.settings import connection

routes = Blueprint("retention", __name__)

DEFAULT = "default"  # of the PBX
_CHOICES = {str(months): months for months in expiry.KEEP_MONTHS}

Answer = Response | tuple[str, int]


@dataclass(frozen=True)
class Preview:
    """What a limit would delete, and the sums of it."""

    rows: Sequence[expiry.Expiring]
    labels: dict[int, str]

    @property
    def deleted(self) -> int:
        """Return how many recordings would be deleted."""
        return sum(row.deleted for row in self.rows)

    @property
    def bytes(self) -> int:
        """Return how much room that would make."""
        return sum(row.bytes - row.held_bytes for row in self.rows)

    @property
    def held(self) -> int:
        """Return how many would stay because they are on hold."""
        return sum(row.held_calls for row in self.rows)


def is_shorter(new: int, old: int) -> bool:
    """Say whether recordings are kept less long; 0 stands for ever."""
    return new != 0 and (old == 0 or new < old)


def _preview(changes: Sequence[tuple[Limit, int]]) -> Preview | None:
    """Return what is deleted where companies get other limits; None: nothing that was kept."""
    shorter = {limit.id: new for limit, new in changes if is_shorter(new, limit.months)}
    found = expiry.preview(connection(), datetime.now(UTC), shorter)
    preview = Preview(found, {limit.id: limit.label for limit, _ in changes})
    return preview if preview.deleted else None


def _is_confirmed(form: Form, preview: Preview) -> bool:
    """Note on the form what is missing for what is deleted to be confirmed."""
    if "seen" not in form.values:
        form.fail("", "Nothing was saved yet. Look at what this would delete.")
        return False
    seen = form.number("seen", 0, 10**12)
    if abs(preview.deleted - seen) > max(10, seen // 100):
        form.fail("", "What would be deleted has changed meanwhile. Look at it again.")
    elif form.text("confirm").replace(",", "").replace(".", "") != str(seen):
        form.fail("confirm", f"Enter {seen:,} to confirm it.")
    return not form.errors


@routes.get("/pbxs/<int(max=2147483647):pbx_id>/retention")
@requires(Policy.SEE)
def pbx(pbx_id: int) -> tuple[str, int]:
    """Show the limit of a PBX, which holds for its companies without one of their own."""
    months = retention.default(connection(), pbx_id)
    if months is None:
        abort(404)
    return _pbx_page(pbx_id, Form({"keep": months, "before": months}))


def _pbx_page(
    pbx_id: int, form: Form, preview: Preview | None = None, status: int = 200
) -> tuple[str, int]:
    db = connection()
    return render_template(
        "retention.html",
        pbx=pbxs.pbx(db, pbx_id),
        company=None,
        form=form,
        preview=preview,
        action=url_for("retention.save_pbx", pbx_id=pbx_id),
        affected=sum(limit.own is None for limit in retention.of_pbx(db, pbx_id)),
    ), status


@routes.post("/pbxs/<int(max=2147483647):pbx_id>/retention")
@requires(Policy.MANAGE)
def save_pbx(pbx_id: int) -> Answer:
    """Save the limit of a PBX."""
    form, db = Form.sent(), connection()
    before = retention.default(db, pbx_id)
    if before is None:
        abort(404)
    keep = _CHOICES.get(form.choice("keep", _CHOICES), 0)
    if form.errors:
        return _pbx_page(pbx_id, form, status=422)
    changes = [(limit, keep) for limit in retention.of_pbx(db, pbx_id) if limit.own is None]
    preview = _preview(changes)
    if preview and not _is_confirmed(form, preview):
        return _pbx_page(pbx_id, form, preview, 422)
    with db.transaction():
        expiry.one_at_a_time(db)
        if form.values.get("before") == str(before) and retention.set_default(
            db, pbx_id, before, keep
        ):
            _note("pbx", pbx_id, before, keep, preview)
            return _saved(url_for("pbx.page", pbx_id=pbx_id), preview)
    form.values["before"] = str(before)
    form.fail("", "Somebody else has changed this meanwhile. Look at it, and save again.")
    return _pbx_page(pbx_id, form, preview, 409)


@routes.get("/companies/<int(max=2147483647):company_id>/retention")
@requires(Policy.SEE)
def company(company_id: int) -> tuple[str, int]:
    """Show the limit of a company."""
    limit = retention.of_company(connection(), company_id) or abort(404)
    own = DEFAULT if limit.own is None else str(limit.own)
    return _company_page(limit, Form({"keep": own, "before": own}))


def _company_page(
    limit: Limit, form: Form, preview: Preview | None = None, status: int = 200
) -> tuple[str, int]:
    found = pbxs.company(connection(), limit.id) or abort(404)
    return render_template(
        "retention.html",
        pbx=pbxs.pbx(connection(), found.pbx_id),
        company=found,
        limit=limit,
        form=form,
        preview=preview,
        action=url_for("retention.save_company", company_id=limit.id),
    ), status


@routes.post("/companies/<int(max=2147483647):company_id>/retention")
@requires(Policy.MANAGE)
def save_company(company_id: int) -> Answer:
    """Save the limit of a company."""
    form, db = Form.sent(), connection()
    limit = retention.of_company(db, company_id) or abort(404)
    chosen = form.choice("keep", [DEFAULT, *_CHOICES])
    if form.errors:
        return _company_page(limit, form, status=422)
    own = _CHOICES.get(chosen)
    preview = _preview([(limit, limit.default if own is None else own)])
    if preview and not _is_confirmed(form, preview):
        return _company_page(limit, form, preview, 422)
    before = DEFAULT if limit.own is None else str(limit.own)
    with db.transaction():
        expiry.one_at_a_time(db)
        if form.values.get("before") == before and retention.set_own(
            db, company_id, limit.own, own
        ):
            _note("company", company_id, before, chosen, preview)
            return _saved(url_for("company.page", company_id=company_id), preview)
    form.values["before"] = before
    form.fail("", "Somebody else has changed this meanwhile. Look at it, and save again.")
    return _company_page(limit, form, preview, 409)


def _note(kind: str, key: int, before: object, after: object, preview: Preview | None) -> None:
    figures = {"calls": preview.deleted, "bytes": preview.bytes} if preview else {}
    subject = f"{kind}:{key}"
    auth.note(connection(), f"{kind}.retention", subject, before=before, after=after, **figures)


def _saved(address: str, preview: Preview | None) -> Response:
    auth.say(
        f"Saved. The next nightly housekeeping deletes {preview.deleted:,} recordings, unless a"
        " longer time is set before."
        if preview
        else "Saved. Nothing is deleted by this."
    )
    return redirect(address, 303)
