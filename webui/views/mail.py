"""The mail server, tried before it is saved, and who is told what."""

import re
from datetime import datetime
from email.utils import formataddr, getaddresses

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import mail as rules
from common import seal
from webui import auth, commands
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import mail
from webui.settings import connection

routes = Blueprint("mail", __name__, url_prefix="/settings")

PORTS = {"plain": 25, "starttls": 587, "tls": 465}
MOST = 50  # recipients
SWITCHES = ("on_disk_low", "on_poll_failure", "on_backup", "on_digest", "users_may_mail_links")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?", re.ASCII)
_ADDRESS = re.compile(  # as browsers check it (HTML, 4.10.5.1.5), with a dot in the domain
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII
)

Answer = Response | tuple[str, int]


def _server_page(form: Form, status: int = 200) -> tuple[str, int]:
    return render_template("mail.html", form=form, saved=mail.server(connection())), status


@routes.get("/mail")
@requires(Policy.MANAGE)
def server() -> tuple[str, int]:
    """Show the mail server."""
    saved = mail.server(connection())
    if saved is None:
        return _server_page(Form({"security": "starttls"}))
    return _server_page(Form({**vars(saved), "before": saved.saved_at.isoformat()}))


def _read(form: Form) -> tuple[str, int, str, str]:
    host = form.text("host", "Enter the name of the mail server.", 253)
    if host and not _HOST.fullmatch(host):
        form.fail("host", "Enter a name such as mail.example.com, or an IP address.")
    security = form.choice("security", PORTS)
    if not form.text("port") and security in PORTS:
        form.values["port"] = str(PORTS[security])
    return host, form.number("port", 1, 65535), security, form.text("username")


def _before(form: Form) -> datetime | None:
    try:
        return datetime.fromisoformat(form.values.get("before", ""))
    except ValueError:
        return None


@routes.post("/mail")
@requires(Policy.MANAGE)
def save_server() -> Answer:
    """Have the notifier try a mail server, and save it where that went well."""
    form, db = Form.sent(), connection()
    host, port, security, username = _read(form)
    password, saved = form.secret("password"), mail.server(db)
    same = saved and (saved.host, saved.security, saved.username) == (host, security, username)
    if username and not password and not same:
        form.fail("password", "Enter the password that belongs to this user name and server.")
    if password and not username:
        form.fail("username", "Enter the user name that belongs to this password.")
    if form.errors:
        return _server_page(form, 422)
    sealed = None
    if password:
        bound = rules.context(host, security, username)
        sealed = seal.seal(mail.sealing_key(db, "mail"), password.encode(), bound)
    wanted = {"host": host, "port": port, "security": security, "username": username}
    answer = commands.ask(
        "notifier", "mail.check", {**wanted, "password_sealed": sealed.hex() if sealed else None}
    )
    if not answer.succeeded:
        form.fail("", f"Nothing was saved. {answer.answer}")
        return _server_page(form, 422)
    with db.transaction():
        if mail.save_server(
            db, _before(form), host, port, security, username, sealed, auth.account()
        ):
            auth.note(db, "mail.changed", "mail", **wanted, new_password=bool(password))
        else:
            form.fail("", "Somebody else has changed this meanwhile. Look at it, and save again.")
    if form.errors:
        return _server_page(form, 409)
    auth.say(f"The e-mail server is saved: {answer.answer}")
    return redirect(url_for("mail.server"), 303)


@routes.post("/mail/test")
@requires(Policy.MANAGE)
def test() -> Response:
    """Have the notifier send a test mail."""
    answer = commands.ask("notifier", "mail.test", {})
    auth.note(connection(), "mail.test", "mail", succeeded=answer.succeeded)
    auth.say(answer.answer)
    return redirect(url_for("mail.server"), 303)


@routes.post("/mail/remove")
@requires(Policy.MANAGE)
def remove() -> Response:
    """Forget the mail server."""
    db = connection()
    with db.transaction():
        mail.remove_server(db)
        auth.note(db, "mail.removed", "mail")
    auth.say("The e-mail server is removed. Nobody is told when something goes wrong.")
    return redirect(url_for("mail.server"), 303)


def addresses(text: str) -> tuple[list[str], list[str]]:
    """Return the mail addresses in a list with commas, each once, and the parts that are none."""
    good: dict[str, str] = {}
    wrong = []
    for name, address in getaddresses([" ".join(text.split()).rstrip(", ")]):
        if _ADDRESS.fullmatch(address):
            good.setdefault(address.casefold(), formataddr((name, address)))
        else:
            wrong.append(address or name or text)
    return list(good.values()), wrong


def _general_page(form: Form, status: int = 200) -> tuple[str, int]:
    has_server = mail.server(connection()) is not None
    return render_template("general.html", form=form, has_server=has_server), status


@routes.get("/general")
@requires(Policy.MANAGE)
def general() -> tuple[str, int]:
    """Show who is told what."""
    saved = mail.general(connection())
    switches = {name: "yes" if getattr(saved, name) else "" for name in SWITCHES}
    return _general_page(
        Form({"sender": saved.sender, "recipients": ", ".join(saved.recipients), **switches})
    )


@routes.post("/general")
@requires(Policy.MANAGE)
def save_general() -> Answer:
    """Save who is told what."""
    form, db = Form.sent(), connection()
    if mail.server(db) is None:
        form.fail("", "Set up the e-mail server first: without it, nobody can be told.")
    senders, wrong = addresses(form.text("sender", "Enter the address that mails come from."))
    if wrong or len(senders) > 1:
        form.fail("sender", "Enter one address, such as callstash@example.com.")
    missing = "Enter at least one address: nobody would be told when something goes wrong."
    recipients, wrong = addresses(form.text("recipients", missing, 5000))
    if wrong:
        form.fail("recipients", f"These are not e-mail addresses: {', '.join(wrong)}")
    if len(recipients) > MOST:
        form.fail("recipients", f"These are {len(recipients)} addresses; {MOST} are the most.")
    if form.errors:
        return _general_page(form, 422)
    before = mail.general(db)
    new = mail.General(senders[0], recipients, *(form.flag(name) for name in SWITCHES))
    changed = {name: value for name, value in vars(new).items() if getattr(before, name) != value}
    with db.transaction():
        mail.save_general(db, new)
        auth.note(db, "mail.settings", "mail", **changed)
    auth.say("The notifications are saved.")
    return redirect(url_for("mail.general"), 303)
