"""What needs a person beside the alerts, in one sentence each, and where each is set right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import url_for

from common.queries.health import Daemon, Disk
from webui import menu, words
from webui.queries.alerts import Alert
from webui.queries.licences import Licence
from webui.queries.pbxs import Pbx
from webui.queries.polls import Poll

SILENT = 60  # seconds after which a daemon that reports every ten is missed
SOON = timedelta(days=30)
PAGES = {  # of each kind of alert
    "poll_failure": "pbx.page",
    "fetch_failure": "pbx.page",
    "time_to_loss": "pbx.page",
    "lost": "completeness.page",
    "incomplete": "completeness.page",
    "damaged": "housekeeping.page",
    "untracked": "housekeeping.page",
    "brake": "housekeeping.page",
    "daemon_silent": "system.page",
    "restarting": "system.page",
    "messages": "system.page",
    "backup_failed": "backup.page",
    "backup_brake": "backup.page",
    "backup_mended": "backup.page",
    "backup_overdue": "backup.page",
    "restore_unproven": "backup.page",
    "upgrade_failed": "upgrade.page",
    "mail_stuck": "mail.server",
    "mail_refused": "mail.general",
}


def page(alert: Alert) -> str | None:
    """Return the address of the page on which an alert is set right; None: there is none."""
    endpoint = PAGES.get(alert.kind)
    if endpoint is None or not menu.may(endpoint):
        return None
    if endpoint == "pbx.page":
        return url_for(endpoint, pbx_id=int(alert.subject))
    return url_for(endpoint)


@dataclass(frozen=True)
class Warned:
    """A sentence, and the page to go to."""

    text: str
    endpoint: str | None = None
    can_wait: bool = False


@dataclass(frozen=True)
class Facts:
    """What the warnings follow from that are not alerts."""

    archive_readable: bool
    disks: Sequence[Disk]
    daemons: Sequence[Daemon]
    pbxs: Sequence[Pbx]
    last: Mapping[int, Poll]
    licence: Licence | None
    mail: bool
    backup: bool
    kit: bool
    factory: Sequence[str]
    today: date


def warnings(facts: Facts) -> list[Warned]:
    """Return what needs a person and no alert says, the most urgent first."""
    return [*_blind(facts), *_setup(facts)]


def _blind(facts: Facts) -> Iterator[Warned]:
    if not facts.archive_readable:
        yield Warned("The archive's directory can't be read: nothing can be played.")
    seen = {daemon.name: daemon.silent_seconds for daemon in facts.daemons}
    silence = seen.get("notifier")
    if seen and (silence is None or silence > SILENT):
        yield Warned("The notifier does not run: nobody is told of anything.", "system.page")


def _setup(facts: Facts) -> Iterator[Warned]:
    if not facts.mail:
        text = "No e-mail server is set up: nobody is told when something goes wrong."
        yield Warned(text, "mail.server", can_wait=True)
    if not facts.backup:
        text = "No backup is set up: what is on this machine is nowhere else."
        yield Warned(text, "backup.page", can_wait=True)
    if not facts.kit:
        text = "Nobody has shown that there is a copy of the recovery kit: use callstash check-kit."
        yield Warned(text, can_wait=True)
    for account in facts.factory:
        text = f"{account} still has the factory password: log in as {account} and set one."
        yield Warned(text, "administrators.page", can_wait=True)
    licence = facts.licence
    if licence and licence.support_until < facts.today:
        text = f"The support contract ended on {words.day(licence.support_until)}."
        yield Warned(text, "licence.page", can_wait=True)
    elif licence and licence.support_until < facts.today + SOON:
        text = f"The support contract ends on {words.day(licence.support_until)}."
        yield Warned(text, "licence.page", can_wait=True)
