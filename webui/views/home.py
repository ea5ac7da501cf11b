"""The first page of an administrator: what needs a person, what runs now, and how full it is."""

import os
from datetime import UTC, datetime

from flask import Blueprint, render_template

from common import __version__
from common.db import Connection
from common.queries import health
from webui import warnings
from webui.policy import Policy, requires
from webui.queries import accounts, alerts, backups, home, licences, mail, pbxs, polls
from webui.settings import connection, shared

routes = Blueprint("home", __name__)


def _facts(db: Connection) -> warnings.Facts:
    return warnings.Facts(
        archive_readable=os.access(shared().settings.archive, os.R_OK | os.X_OK),
        disks=health.disks(db),
        daemons=health.daemons(db),
        pbxs=pbxs.pbxs(db),
        last={poll.pbx_id: poll for poll in polls.last_polls(db)},
        licence=licences.licence(db),
        mail=mail.is_configured(db),
        backup=backups.target(db) is not None,
        kit=home.has_kit(db),
        factory=accounts.factory(db),
        today=shared().local(datetime.now(UTC)).date(),
    )


@routes.get("/")
@requires(Policy.SEE)
def page() -> str:
    """Show the page."""
    db = connection()
    facts = _facts(db)
    return render_template(
        "home.html",
        facts=facts,
        totals=health.stored(db),
        running={poll.pbx_id: poll for poll in polls.running_polls(db)},
        warnings=warnings.warnings(facts),
        alerts=alerts.unended(db),
        silent=warnings.SILENT,
        version=__version__,
        upgrade=home.upgrade(db),
        arrays=health.arrays(db),
        backups=backups.runs(db, 1),
        drill=backups.drill(db),
        now=datetime.now(UTC),
    )
