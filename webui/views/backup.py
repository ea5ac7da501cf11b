"""Backups: where they go, tried before it is saved, and how they went."""

import base64
import binascii
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import backup as rules
from common import seal
from webui import auth, commands
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import backups, mail, system
from webui.queries.backups import Wanted
from webui.settings import connection

routes = Blueprint("backup", __name__)

PAGE = "/settings/backup"
RUNS = 10
KINDS = ("disabled", "volume", "remote")

Answer = Response | tuple[str, int]


def fingerprint(host_key: str) -> str:
    """Return the fingerprint of a host key as ssh-keygen(1) shows it."""
    try:
        blob = base64.b64decode(host_key.split(" ")[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _page(form: Form, status: int = 200, shown: str = "") -> tuple[str, int]:
    db = connection()
    return render_template(
        "backup.html",
        form=form,
        saved=backups.target(db),
        mounted=any(disk.volume == "backup" for disk in system.disks(db)),
        key=backups.public_key(db),
        runs=backups.runs(db, RUNS),
        drill=backups.drill(db),
        now=datetime.now(UTC),
        shown=shown,
        fingerprint=fingerprint(shown) if shown else "",
    ), status


@routes.get(PAGE)
@requires(Policy.MANAGE)
def page() -> tuple[str, int]:
    """Show the page."""
    saved = backups.target(connection())
    if saved is None:
        return _page(Form({"kind": "disabled", "port": "22", "login": "key"}))
    return _page(Form({**vars(saved), "login": "key"}))


def _read(form: Form) -> tuple[Wanted, str]:
    """Return what was entered, without a host key, and the password."""
    kind = form.choice("kind", KINDS)
    if kind != "remote":
        return Wanted(kind), ""
    host = form.text("host", "Enter the name of the server, such as backup.example.com.", 253)
    path = form.text("path", "Enter the directory, such as /backups/callstash.", 1000)
    if path and not (path.startswith("/") and path.isprintable()):
        form.fail("path", "It must begin with a slash, such as /backups/callstash.")
    username = form.text("username", "Enter the user name on the server.", 64)
    port = form.number("port", 1, 65535)
    password = form.secret("password") if form.choice("login", ("key", "password")) else ""
    return Wanted(kind, host, port, path, username), password


@routes.post(PAGE)
@requires(Policy.MANAGE)
def save() -> Answer:
    """Have backupd try a target, and save it where that went well."""
    form, db = Form.sent(), connection()
    wanted, password = _read(form)
    if form.errors:
        return _page(form, 422)
    if wanted.kind == "disabled":
        return _off()
    saved, sealed, keeps = backups.target(db), None, False
    if wanted.kind == "remote":
        key = _host_key(form, wanted, saved)
        if not key:
            return _page(form, 422)
        wanted = replace(wanted, host_key=key)
        same = saved is not None and (saved.host, saved.port, saved.username, saved.host_key) == (
            wanted.host, wanted.port, wanted.username, key,
        )  # fmt: skip
        sealed = _password(form, wanted, password)
        keeps = form.values["login"] == "password" and sealed is None and same
        if form.values["login"] == "password" and sealed is None and not keeps:
            form.fail("password", "Enter the password that belongs to this user and server.")
            return _page(form, 422)
        if form.values.get("host_key") != key and not same:
            form.values["password_sealed"] = sealed.hex() if sealed else ""
            return _page(form, 200, shown=key)
    return _try(form, wanted, sealed, keeps)


def _host_key(form: Form, wanted: Wanted, saved: backups.Target | None) -> str:
    """Return the key that was saved for this server, or that it shows now."""
    if saved is not None and (saved.host, saved.port) == (wanted.host, wanted.port):
        return saved.host_key
    answer = commands.ask("backupd", rules.SHOW_KEY, {"host": wanted.host, "port": wanted.port})
    if not answer.succeeded:
        form.fail("host", answer.answer)
        return ""
    return answer.answer


def _password(form: Form, wanted: Wanted, password: str) -> bytes | None:
    """Return the sealed password: typed now, or before the host key was shown."""
    if form.values["login"] != "password":
        return None
    if password:
        bound = rules.context(wanted.host, wanted.port, wanted.username, wanted.host_key)
        return seal.seal(mail.sealing_key(connection(), "backup"), password.encode(), bound)
    try:
        return bytes.fromhex(form.values.get("password_sealed", "")) or None
    except ValueError:
        return None


def _try(form: Form, wanted: Wanted, sealed: bytes | None, keeps: bool) -> Answer:
    db = connection()
    answer = commands.ask(
        "backupd", rules.TRY,
        {**vars(wanted), "password_sealed": sealed.hex() if sealed else None,
         "uses_password": keeps},
    )  # fmt: skip
    if not answer.succeeded:
        form.fail("", f"Nothing was saved. {answer.answer}")
        return _page(form, 422)
    with db.transaction():
        backups.save(db, wanted, sealed, keeps, UUID(answer.answer), auth.account())
        told = {key: value for key, value in vars(wanted).items() if key != "host_key"}
        auth.note(db, "backup.changed", "backup", **told)
    auth.say("The backup target is saved: it was written to and read back.")
    return redirect(url_for("backup.page"), 303)


def _off() -> Response:
    db = connection()
    with db.transaction():
        if backups.remove(db):
            auth.note(db, "backup.removed", "backup")
    auth.say("Backups are switched off. What was backed up stays where it is.")
    return redirect(url_for("backup.page"), 303)


@routes.post(f"{PAGE}/run")
@requires(Policy.MANAGE)
def run() -> Response:
    """Have a backup begin now."""
    auth.note(connection(), "backup.run", "backup")
    auth.say(commands.ask("backupd", rules.RUN, {}).answer)
    return redirect(url_for("backup.page"), 303)


@routes.post(f"{PAGE}/cancel")
@requires(Policy.MANAGE)
def cancel() -> Response:
    """Have the backup that runs end."""
    db = connection()
    with db.transaction():
        done = backups.cancel(db, auth.account())
        if done:
            auth.note(db, "backup.cancel", "backup")
    auth.say("The backup ends. The next one goes on from there." if done else "No backup runs.")
    return redirect(url_for("backup.page"), 303)
