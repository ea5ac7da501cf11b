"""The machinery: daemons, queues, messages that went wrong, versions, and what daemons log."""

import json
import platform
import re
from pathlib import Path

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from common import __version__, queues
from common.queries import health
from webui import auth, commands, logbook, warnings
from webui.policy import Policy, requires
from webui.queries import system
from webui.settings import connection, shared

routes = Blueprint("system", __name__, url_prefix="/system")

LETTERS = 50
OWN = "web"  # the web UI logs too, but is no daemon
_RELEASE = re.compile(r'^PRETTY_NAME="?([^"\n]*)', re.MULTILINE)


def _debian() -> str:
    try:
        found = _RELEASE.search(Path("/etc/os-release").read_text())
    except OSError:
        return "unknown"
    return found[1] if found else "unknown"


@routes.get("")
@requires(Policy.SEE)
def page() -> str:
    """Show the page."""
    db = connection()
    broker = queues.look(shared().settings.broker)
    return render_template(
        "system.html",
        daemons=health.daemons(db),
        silent=warnings.SILENT,
        forgettable=system.FORGETTABLE,
        queues=broker[1] if broker else None,
        outbox=health.outbox(db),
        letters=system.letters(db, LETTERS),
        versions=(
            ("CallStash", __version__),
            ("PostgreSQL", system.version(db)),
            ("RabbitMQ", broker[0] if broker else "does not answer"),
            ("Python", platform.python_version()),
            ("System", _debian()),
            ("Kernel", platform.release()),
        ),
    )


def _back() -> Response:
    return redirect(url_for("system.page"), 303)


@routes.post("/daemons/<daemon>/forget")
@requires(Policy.MANAGE)
def forget(daemon: str) -> Response:
    """Forget a process that no longer runs on purpose."""
    db = connection()
    if not any(known.name == daemon for known in health.daemons(db)):
        abort(404)
    with db.transaction():
        if system.forget(db, daemon):
            auth.note(db, "daemon.forget", f"daemon:{daemon}")
            auth.say(f"{daemon} is forgotten. If it starts again, it is shown again.")
        else:
            auth.say(f"{daemon} has reported within the last ten minutes.")
    return _back()


@routes.post("/arrays/<array>/forget")
@requires(Policy.MANAGE)
def forget_array(array: str) -> Response:
    """Forget an array that was taken away on purpose."""
    db = connection()
    if not any(known.uuid == array for known, _ in health.arrays(db)):
        abort(404)
    with db.transaction():
        if system.forget_array(db, array):
            auth.note(db, "array.forget", f"array:{array}")
            auth.say("The array is forgotten. If it comes back, it is shown again.")
        else:
            auth.say("The array is there: only one that is missing can be forgotten.")
    return redirect(url_for("home.page"), 303)


@routes.post("/dead-letters/<int(max=9223372036854775807):letter_id>/retry")
@requires(Policy.MANAGE)
def retry(letter_id: int) -> Response:
    """Send the message of a dead letter again."""
    db = connection()
    if not system.letter_exists(db, letter_id):
        abort(404)
    with db.transaction():
        letter = system.settle(db, letter_id, auth.account())
        if letter is not None:
            try:
                json.loads(letter.body)
            except ValueError:
                abort(409, "This message can't be read at all: it can only be dropped.")
            system.send_again(db, letter.topic, letter.body)
            auth.note(db, "dead_letter.retry", f"dead_letter:{letter_id}", topic=letter.topic)
    if letter is not None:
        commands.relay(db)
    auth.say("The message is tried again." if letter else "Somebody has settled it already.")
    return _back()


@routes.post("/dead-letters/<int(max=9223372036854775807):letter_id>/drop")
@requires(Policy.MANAGE)
def drop(letter_id: int) -> Response:
    """Give a dead letter up."""
    db = connection()
    if not system.letter_exists(db, letter_id):
        abort(404)
    with db.transaction():
        letter = system.settle(db, letter_id, auth.account())
        if letter is not None:
            auth.note(
                db, "dead_letter.drop", f"dead_letter:{letter_id}",
                topic=letter.topic, body=letter.body[:500],
            )  # fmt: skip
    auth.say("The message is dropped." if letter else "Somebody has settled it already.")
    return _back()


@routes.post("/outbox/retry")
@requires(Policy.MANAGE)
def unpark() -> Response:
    """Have messages that nobody listened to tried again."""
    db = connection()
    with db.transaction():
        again = system.unpark(db)
        auth.note(db, "outbox.retry", "", messages=len(again))
    commands.relay(db)
    auth.say("Parked messages are tried again.")
    return _back()


@routes.get("/<daemon>/journal")
@requires(Policy.MANAGE)
def log(daemon: str) -> str:
    """Show the last lines that a daemon has logged."""
    if daemon != OWN and not any(one.name == daemon for one in health.daemons(connection())):
        abort(404)
    wanted = request.args.get("level", "6")
    priority = int(wanted) if wanted in ("3", "4", "6") else 6
    directory, error = shared().settings.log_directory, None
    lines: list[logbook.Line] = []
    try:
        if directory is None:
            lines = logbook.of_unit(daemon, priority)
        else:
            lines = logbook.of_file(directory / f"{daemon}.log", priority)
    except logbook.Unreadable as unreadable:
        error = str(unreadable)
    text = request.args.get("text", "").strip()[:200]
    found = [line for line in lines if text.casefold() in line.text.casefold()]
    return render_template(
        "journal.html", name=daemon, lines=found, error=error, level=str(priority), text=text,
        levels=logbook.LEVELS,
    )  # fmt: skip
