"""Upgrades: asked for here, daily a check, and what came of them noted.

callstash-upgrade.service, which a request starts, talks to apt and installs; it needs no database
for what it says, so that is in files, and gets into the tables here.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from common import commands, upgrade
from common.commands import Command
from common.daemon import Life
from common.db import Connection
from common.errors import ConfigError
from common.queries import health
from common.upgrade import CHECK, FAILED, START, Checked
from daemons.housekeeper.queries import licences, system

log = logging.getLogger(__name__)

DAILY = timedelta(days=1)
VERBS = {"upgrade.check": CHECK, "upgrade.start": START}


class Upgrades:
    """Asks for upgrades, and notes what came of them."""

    def __init__(self, db: Connection, now: Callable[[], datetime], zone: tzinfo) -> None:
        self._db = db
        self._now = now
        self._zone = zone
        self._asked: datetime | None = None
        self._seen: Checked | None = None
        self._known: set[str] = set()

    def turn(self, life: Life) -> bool:
        """Do the commands that wait, ask for a check where a day has passed, note what is new."""
        for command in commands.waiting(self._db, "housekeeper"):
            if command.kind in VERBS:
                life.doing("asking for an upgrade")
                self._obey(command)
        now = self._now()
        if self._asked is None or not timedelta(0) <= now - self._asked < DAILY:
            self._asked = now
            self._daily(now)
        self._note(now)
        return False

    def _daily(self, now: datetime) -> None:
        if upgrade.REQUESTS.is_dir():
            upgrade.ask(CHECK, "housekeeper", now)
        else:  # not a Debian, or run from a checkout
            system.note_upgrade(self._db, None, None, None, now)

    def _obey(self, command: Command) -> None:
        do = VERBS[command.kind]
        try:
            if do == START and (text := self._refusal()):
                commands.answer(self._db, command.id, False, text)
                return
            begun = upgrade.ask(do, command.asked_by, self._now())
        except ConfigError as error:
            commands.answer(self._db, command.id, False, str(error))
            return
        if begun is None:
            text = "A check or an upgrade is asked for already: wait until it is over."
            commands.answer(self._db, command.id, False, text)
            return
        if do == START:
            licences.note(self._db, command.asked_by, "upgrade.start", "")
        text = "The upgrade begins." if do == START else "The repository is being asked."
        commands.answer(self._db, command.id, True, text)

    def _refusal(self) -> str:
        if upgrade.running():
            return "An upgrade is running already."
        licence = health.licence(self._db)
        today = self._now().astimezone(self._zone).date()
        return upgrade.refusal(upgrade.checked(), licence.support_until if licence else None, today)

    def _note(self, now: datetime) -> None:
        found = upgrade.checked()
        if found is not None and found != self._seen:
            system.note_upgrade(self._db, found.installed, found.available, found.error, now)
            self._seen = found
            if found.error:
                log.info("the check for upgrades found nothing out: %s", found.error)
        for run in upgrade.runs():
            if run.id in self._known:
                continue
            with self._db.transaction():
                if system.note_upgrade_run(self._db, run):
                    licences.note(
                        self._db, run.by, f"upgrade.{run.outcome}", "",
                        before=run.before, after=run.after,
                    )  # fmt: skip
            write = log.error if run.outcome in (FAILED, upgrade.BROKEN) else log.info
            write("an upgrade is over: %s", run.text)
            self._known.add(run.id)
