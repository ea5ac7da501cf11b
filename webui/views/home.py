"""The first page of an administrator: what needs a person, what runs now, and what is stored."""

import os
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, render_template

from webui import words
from webui.policy import Policy, requires
from webui.queries import pbxs, polls
from webui.settings import connection, shared

routes = Blueprint("home", __name__)

SILENT = 60  # seconds after which a daemon that reports every ten is missed
LOW = 0.10  # of a disk


@dataclass(frozen=True)
class Disk:
    """The file system that holds the archive."""

    size: int
    free: int

    @property
    def is_low(self) -> bool:
        """Say whether somebody should make room."""
        return self.free < LOW * self.size


def _disk(archive: Path) -> Disk | None:
    try:
        status = os.statvfs(archive)
    except OSError:
        return None
    return Disk(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def _warnings(
    disk: Disk | None,
    daemons: list[pbxs.Daemon],
    known: list[pbxs.Pbx],
    last: dict[int, polls.Poll],
) -> list[str]:
    found = []
    if disk is None:
        found.append("The archive's directory can't be read: nothing can be stored or played.")
    elif disk.is_low:
        found.append(f"The archive's disk is nearly full: {words.size(disk.free)} are left.")
    found += [
        f"{daemon.name} has not reported for {words.span(daemon.silent_seconds)}."
        for daemon in daemons
        if daemon.silent_seconds > SILENT
    ]
    for pbx in known:
        poll = last.get(pbx.id)
        if pbx.contact_error:
            found.append(f"{pbx.name}: no recordings can be fetched. {pbx.contact_error}")
        if poll and poll.state == "failed":
            found.append(f"{pbx.name}: the last poll failed. {poll.error or ''}")
    return found


@routes.get("/")
@requires(Policy.SEE)
def page() -> str:
    """Show the page."""
    db, disk = connection(), _disk(shared().settings.archive)
    known, daemons = pbxs.pbxs(db), pbxs.daemons(db)
    last = {poll.pbx_id: poll for poll in polls.last_polls(db)}
    return render_template(
        "home.html",
        pbxs=known,
        companies=pbxs.companies(db),
        daemons=daemons,
        disk=disk,
        last=last,
        running={poll.pbx_id: poll for poll in polls.running_polls(db)},
        warnings=_warnings(disk, daemons, known, last),
        silent=SILENT,
    )
