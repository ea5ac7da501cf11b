"""Upgrades: what there is, started here, done by a service of its own while the web UI is away."""

from datetime import UTC, datetime

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import __version__, upgrade
from common.queries import health
from webui import auth, commands
from webui.policy import Policy, requires
from webui.queries import home
from webui.settings import connection, shared

routes = Blueprint("upgrade", __name__, url_prefix="/settings/upgrade")

LINES = 400  # of the log, the newest


@routes.get("")
@requires(Policy.MANAGE)
def page() -> str:
    """Show what is installed, what there is, and how upgrades went."""
    db = connection()
    licence, found = health.licence(db), upgrade.checked()
    running, asked = upgrade.running(), upgrade.asked()
    runs = home.upgrade_runs(db)
    last = str(running["id"]) if running else runs[0].id if runs else ""
    today = shared().local(datetime.now(UTC)).date()
    return render_template(
        "upgrade.html",
        version=__version__,
        found=found,
        checked_at=datetime.fromisoformat(found.at) if found else None,
        refusal=upgrade.refusal(found, licence.support_until if licence else None, today),
        running=running,
        asked=asked,
        runs=runs,
        log=upgrade.log(last).splitlines()[-LINES:],
    )


def _ask(kind: str) -> Response:
    auth.say(commands.ask("housekeeper", kind, {}).answer)
    return redirect(url_for("upgrade.page"), 303)


@routes.post("/check")
@requires(Policy.MANAGE)
def check() -> Response:
    """Have the repository asked for a newer version."""
    return _ask("upgrade.check")


@routes.post("/start")
@requires(Policy.MANAGE)
def start() -> Response:
    """Have the newer version installed."""
    return _ask("upgrade.start")
