"""Activation of a new box, and the licence of one that is activated."""

from datetime import UTC, datetime

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from common import licence
from common.licence import LicenceRefused
from webui import auth, commands
from webui.auth import Throttled
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import accounts, licences, pbxs
from webui.settings import connection, shared

routes = Blueprint("licence", __name__)

LONGEST = 32 << 10  # bytes of a licence file

Answer = Response | tuple[str, int]


def _code(form: Form, said: str = "code") -> str | None:
    """Activate with the code on the form; return what was said, None with errors on the form."""
    try:
        code = licence.read_code(form.text("code", "Enter the activation code."))
    except LicenceRefused as refused:
        form.fail("code", str(refused))
    if form.errors:
        return None
    return _ask(form, said, "licence.activate", {"code": code})


def _file(form: Form) -> str | None:
    """Install the licence file on the form; return what was said, None with errors on the form."""
    sent = request.files.get("file")
    data = sent.read(LONGEST + 1) if sent else b""
    if not data:
        form.fail("file", "Choose the licence file that your vendor sent.")
    elif len(data) > LONGEST:
        form.fail("file", "This is not a licence of CallStash.")
    if form.errors:
        return None
    text = data.decode("utf-8", "replace").replace("\0", "")
    return _ask(form, "file", "licence.install", {"document": text})


def _ask(form: Form, field: str, kind: str, arguments: dict[str, str]) -> str | None:
    db = connection()
    try:
        attempt = auth.count(db, "activation")
    except Throttled as refused:
        form.fail(field, str(refused).replace("failed logins", "attempts"))
        return None
    answer = commands.ask("housekeeper", kind, arguments)
    if not answer.succeeded:
        form.fail(field, answer.answer)
        return None
    accounts.take_back(db, attempt)
    return answer.answer


def _activation(form: Form, status: int = 200) -> tuple[str, int]:
    return render_template("activation.html", form=form, box=licences.box(connection())), status


@routes.get("/activate")
@requires(Policy.PUBLIC)
def activation() -> Answer:
    """Show the page that a new box begins with."""
    if licences.is_licensed(connection()):
        return redirect(url_for("login.form"), 303)
    return _activation(Form({}))


@routes.post("/activate")
@requires(Policy.PUBLIC)
def activate() -> Answer:
    """Activate a new box with a code, or with a licence file."""
    form = Form.sent()
    if not licences.is_licensed(connection()):
        said = _file(form) if "file" in request.files else _code(form)
        if said is None:
            return _activation(form, 422)
    return redirect(url_for("login.form"), 303)


def _page(form: Form, status: int = 200) -> tuple[str, int]:
    db = connection()
    return render_template(
        "licence.html",
        form=form,
        licence=licences.licence(db),
        box=licences.box(db),
        pbxs=len(pbxs.pbxs(db)),
        today=shared().local(datetime.now(UTC)).date(),
    ), status


@routes.get("/settings/licence")
@requires(Policy.MANAGE)
def page() -> tuple[str, int]:
    """Show the licence."""
    return _page(Form({}))


@routes.post("/settings/licence")
@requires(Policy.MANAGE)
def change() -> Answer:
    """Install another licence, with a code or from a file."""
    form = Form.sent()
    said = _file(form) if "file" in request.files else _code(form)
    if said is None:
        return _page(form, 422)
    auth.say(said)
    return redirect(url_for("licence.page"), 303)


@routes.post("/settings/licence/refresh")
@requires(Policy.MANAGE)
def refresh() -> Response:
    """Ask the licence server what is new."""
    auth.say(commands.ask("housekeeper", "licence.refresh", {}).answer)
    return redirect(url_for("licence.page"), 303)
