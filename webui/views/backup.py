"""Backups: where they go, tried before it is saved, and how they went."""

import base64
import binascii
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, time
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import backup as rules
from common import seal
from common.queries import health
from webui import auth, commands
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import backups, mail
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


def _page(
    form: Form, status: int = 200, shown: str = "", pace: Form | None = None,
    confirm: Form | None = None,
) -> tuple[str, int]:  # fmt: skip
    db = connection()
    saved = backups.target(db)
    return render_template(
        "backup.html",
        form=form,
        saved=saved,
        pace=pace or _paced(saved),
        confirm=confirm or Form({}),
        brake=backups.brake(db),
        mounted=any(disk.volume == "backup" for disk in health.disks(db)),
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
    return _page(_saved())


def _saved() -> Form:
    saved = backups.target(connection())
    if saved is None:
        return Form({"kind": "disabled", "port": "22", "login": "key"})
    return Form({**vars(saved), "login": "key"})


def _paced(saved: backups.Target | None) -> Form:
    if saved is None:
        return Form({})
    window = {
        name: f"{at:%H:%M}" if at else ""
        for name, at in (("quiet_from", saved.quiet_from), ("quiet_until", saved.quiet_until))
    }
    return Form({"rate": "" if saved.rate_kb is None else saved.rate_kb, **window})


@routes.post(f"{PAGE}/pace")
@requires(Policy.MANAGE)
def pace() -> Answer:
    """Save how fast a target is written to, and when a new one is not filled."""
    form, db = Form.sent(), connection()
    rate = form.number("rate", 10, 10_000_000) if form.text("rate") else None
    begin, end = _time(form, "quiet_from"), _time(form, "quiet_until")
    if "quiet_until" not in form.errors and (begin is None) != (end is None):
        form.fail("quiet_until", "Enter both times, or neither.")
    elif begin is not None and begin == end:
        form.fail("quiet_until", "Enter another time than the one at which it begins.")
    if form.errors:
        return _page(_saved(), 422, pace=form)
    with db.transaction():
        if not backups.pace(db, rate, begin, end):
            abort(404)
        auth.note(db, "backup.paced", "backup", rate_kb=rate, quiet_from=str(begin or ""),
                  quiet_until=str(end or ""))  # fmt: skip
    auth.say("That is saved. A backup that runs already goes on as it began.")
    return redirect(url_for("backup.page"), 303)


def _time(form: Form, field: str) -> time | None:
    text = form.text(field, longest=5)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007
    except ValueError:
        form.fail(field, "Enter a time of day, such as 08:00.")
        return None


@routes.post(f"{PAGE}/confirm")
@requires(Policy.MANAGE)
def confirm() -> Answer:
    """Let backups go on, though recordings were lost."""
    form, db = Form.sent(), connection()
    brake = backups.brake(db) or abort(404)
    lost = brake.lost_rows + brake.lost_files
    if form.text("lost").replace(",", "").replace(".", "") != str(lost):
        form.fail("lost", f"Enter {lost:,} to confirm it.")
        return _page(_saved(), 422, confirm=form)
    with db.transaction():
        if not backups.confirm(db, brake, auth.account()):
            abort(404)
        auth.note(db, "backup.confirmed", "backup", **{k: v for k, v in vars(brake).items()
                                                       if k != "found_at"})  # fmt: skip
    auth.say(commands.ask("backupd", rules.RUN, {}).answer)
    return redirect(url_for("backup.page"), 303)


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
