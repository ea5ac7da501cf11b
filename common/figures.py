"""The figures of a box at one instant: what `callstash status`, the metrics and the support bundle
say is the same.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from common import __version__, queues
from common.db import Connection
from common.queries import health
from common.queues import Queue

SILENT = 120  # seconds after which a daemon is missed
WORDS = {  # fields that hold one of our own words; all other texts may name somebody
    "Figures": {"version"},
    "Pbx": {"state"},
    "Disk": {"volume"},
    "Daemon": {"name", "version"},
    "Queue": {"name"},
    "Alert": {"kind"},
    "Backups": {"state"},
    "Array": {"name", "level", "state", "action"},
    "Licence": {"serial"},
}


@dataclass(frozen=True)
class Figures:
    """What is true now; `queues` is None where RabbitMQ does not answer."""

    version: str
    at: datetime
    licence: health.Licence | None
    stored: health.Stored
    waiting: Mapping[str, int]
    lost: int
    unexplained: int
    damaged: Mapping[str, int]
    pbxs: Sequence[health.Pbx]
    losses: Mapping[int, datetime]
    disks: Sequence[health.Disk]
    arrays: Sequence[health.Array]
    backups: health.Backups
    daemons: Sequence[health.Daemon]
    queues: Sequence[Queue] | None
    outbox: health.Outbox
    dead_letters: int
    mails: int
    alerts: Sequence[health.Alert]


def read(db: Connection, broker: str) -> Figures:
    """Return the figures, those of the database of one instant."""
    found = queues.look(broker)
    now = datetime.now(UTC)
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return Figures(
            version=__version__,
            at=now,
            licence=health.licence(db),
            stored=health.stored(db),
            waiting=health.waiting(db),
            lost=health.lost(db, now),
            unexplained=health.unexplained(db, now),
            damaged=health.damaged(db),
            pbxs=health.pbxs(db),
            losses={clock.pbx_id: clock.loss_at for clock in health.clocks(db) if clock.loss_at},
            disks=health.disks(db),
            arrays=[array for array, _ in health.arrays(db)],
            backups=health.backups(db),
            daemons=health.daemons(db),
            queues=found[1] if found else None,
            outbox=health.outbox(db),
            dead_letters=health.dead_letters(db),
            mails=health.mails(db),
            alerts=health.alerts(db),
        )


def troubles(figures: Figures) -> list[str]:
    """Return what needs a person, a sentence each: the alerts, and what keeps alerts from being."""
    found = [alert.title for alert in figures.alerts]
    if figures.licence is None:
        found.append("This CallStash is not activated: nothing is polled.")
    if figures.queues is None:
        found.append("RabbitMQ does not answer: see 'systemctl status rabbitmq-server'.")
    silent = {one.name for one in figures.daemons if one.silent_seconds > SILENT}
    if "notifier" not in {one.name for one in figures.daemons} - silent:
        found.append("The notifier does not run, so nobody is told of anything else.")
    found += [
        f"{name} does not report: see 'systemctl status callstash-{name}'."
        for name in sorted(silent - {"notifier"})
        if not any(one.kind == "daemon_silent" for one in figures.alerts)
    ]
    return found


def plain(value: object, *, texts: bool) -> object:
    """Return figures as JSON has them. Without `texts` only our own words are kept of what is text:
    a new field of text is left out until it is in WORDS.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        known = WORDS.get(type(value).__name__, set())
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            name: plain(one, texts=texts)
            for name, one in fields.items()
            if texts or not isinstance(one, str) or name in known
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one, texts=texts) for key, one in value.items()}
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one, texts=texts) for one in value]
    return value
