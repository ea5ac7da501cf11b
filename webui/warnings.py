"""What needs a person, in one sentence each, and where it is set right. Pure: the facts come in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from webui import words
from webui.queries.licences import Licence
from webui.queries.pbxs import Pbx
from webui.queries.polls import Poll
from webui.queries.system import Daemon, Disk

SILENT = 60  # seconds after which a daemon that reports every ten is missed
SOON = timedelta(days=30)
VOLUMES = {
    "audio": "The archive's disk",
    "database": "The database's disk",
    "backup": "The backup's disk",
}


@dataclass(frozen=True)
class Warned:
    """A sentence, and the page (endpoint and its arguments) to go to."""

    text: str
    endpoint: str | None = None
    arguments: tuple[tuple[str, int], ...] = ()
    can_wait: bool = False


@dataclass(frozen=True)
class Facts:
    """All that the warnings follow from."""

    archive_readable: bool
    disks: Sequence[Disk]
    daemons: Sequence[Daemon]
    pbxs: Sequence[Pbx]
    last: Mapping[int, Poll]
    licence: Licence | None
    mail: bool
    factory: Sequence[str]
    stuck_messages: int
    gone: int
    today: date
    braked: int = 0  # recordings that a deletion may not delete unconfirmed


def warnings(facts: Facts) -> list[Warned]:
    """Return what needs a person, the most urgent first."""
    return [
        *_storage(facts),
        *_lost(facts),
        *_polls(facts),
        *_machinery(facts),
        *_setup(facts),
    ]


def _storage(facts: Facts) -> Iterator[Warned]:
    if not facts.archive_readable:
        yield Warned("The archive's directory can't be read: nothing can be stored or played.")
    for disk in facts.disks:
        if disk.is_low:
            name = VOLUMES.get(disk.volume, disk.volume)
            yield Warned(f"{name} is nearly full: {words.size(disk.free)} are left.")


def _lost(facts: Facts) -> Iterator[Warned]:
    if facts.braked:
        many = words.count(facts.braked, "recording")
        text = f"{many} would be deleted, more than usual: nothing was, until that is confirmed."
        yield Warned(text, "housekeeping.page")
    if facts.gone:
        lost = words.count(facts.gone, "recording was", "recordings were")
        yield Warned(f"{lost} gone from the PBX before it could be fetched, in the last 30 days.")


def _polls(facts: Facts) -> Iterator[Warned]:
    for pbx in facts.pbxs:
        page, poll = (("pbx_id", pbx.id),), facts.last.get(pbx.id)
        if pbx.contact_error:
            text = f"{pbx.name}: no recordings can be fetched. {pbx.contact_error}"
            yield Warned(text, "pbx.page", page)
        if poll and poll.state == "failed" and pbx.state == "active":
            text = f"{pbx.name}: the last poll failed. {poll.error or ''}"
            yield Warned(text, "pbx.page", page)


def _machinery(facts: Facts) -> Iterator[Warned]:
    for daemon in facts.daemons:
        if daemon.silent_seconds > SILENT:
            silence = words.span(daemon.silent_seconds)
            yield Warned(f"{daemon.name} has not reported for {silence}.", "system.page")
    if facts.stuck_messages:
        stuck = words.count(facts.stuck_messages, "message")
        yield Warned(f"{stuck} between the daemons could not be delivered.", "system.page")


def _setup(facts: Facts) -> Iterator[Warned]:
    if not facts.mail:
        text = "No e-mail server is set up: nobody is told when something goes wrong."
        yield Warned(text, "mail.server", can_wait=True)
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
