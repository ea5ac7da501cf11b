"""Webhooks: chats and pagers that are told of alerts as mail is."""

import base64
import secrets
from urllib.parse import urlsplit

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import mail as rules
from common import seal
from webui import auth, commands
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import mail, webhooks
from webui.settings import connection

routes = Blueprint("webhooks", __name__, url_prefix="/settings/webhooks")

MOST = 20

Answer = Response | tuple[str, int]


@routes.get("")
@requires(Policy.MANAGE)
def page() -> tuple[str, int]:
    """Show all webhooks."""
    return _page(Form({}))


def _page(form: Form, status: int = 200, secret: str | None = None) -> tuple[str, int]:
    found = webhooks.webhooks(connection())
    return render_template("webhooks.html", form=form, webhooks=found, secret=secret), status


def _url(form: Form) -> str:
    url = form.text("url", "Enter the address that your chat or pager gave you.", 1000)
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if url and not (is_good and url.isascii() and url.isprintable() and " " not in url):
        form.fail("url", "Enter an address such as https://chat.example.com/hooks/abc.")
    elif (
        url
        and parts.scheme != "https"
        and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
    ):
        form.fail("url", "The address must begin with https://, so that nobody reads along.")
    return url


@routes.post("")
@requires(Policy.MANAGE)
def add() -> tuple[str, int]:
    """Add a webhook and show its secret, once."""
    form, db = Form.sent(), connection()
    url = _url(form)
    if len(webhooks.webhooks(db)) >= MOST:
        form.fail("url", f"There are {MOST} webhooks already. Remove one first.")
    if form.errors:
        return _page(form, 422)
    secret = secrets.token_bytes(32)
    sealed = seal.seal(mail.sealing_key(db, "mail"), secret, rules.webhook(url))
    with db.transaction():
        if webhooks.add(db, url, sealed, auth.account()):
            auth.note(db, "webhook.add", "webhook", host=urlsplit(url).hostname)
        else:
            form.fail("url", "There is a webhook with this address already.")
    if form.errors:
        return _page(form, 422)
    return _page(Form({}), secret="whsec_" + base64.b64encode(secret).decode())


@routes.post("/<int(max=2147483647):webhook_id>/test")
@requires(Policy.MANAGE)
def test(webhook_id: int) -> Response:
    """Have the notifier tell a webhook something harmless."""
    if not any(one.id == webhook_id for one in webhooks.webhooks(connection())):
        abort(404)
    auth.say(commands.ask("notifier", "webhook.test", {"webhook": webhook_id}).answer)
    return redirect(url_for("webhooks.page"), 303)


@routes.post("/<int(max=2147483647):webhook_id>/remove")
@requires(Policy.MANAGE)
def remove(webhook_id: int) -> Response:
    """Remove a webhook."""
    db = connection()
    with db.transaction():
        url = webhooks.remove(db, webhook_id) or abort(404)
        auth.note(db, "webhook.remove", "webhook", host=urlsplit(url).hostname)
    auth.say("The webhook is removed.")
    return redirect(url_for("webhooks.page"), 303)
