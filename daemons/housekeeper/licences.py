"""The licence: activated with a code, installed from a file, refreshed every day.

A licence server that does not answer changes nothing; what it sends counts once it is verified.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import requests

from common import __version__, commands, licence
from common.commands import Command
from common.daemon import Life
from common.db import Connection
from common.errors import CallStashError
from common.licence import Licence, LicenceRefused
from daemons.housekeeper.queries import licences

log = logging.getLogger(__name__)

DAILY = timedelta(days=1)
RETRY_MINUTES = (5, 15, 60, 180)
LONGEST = 64 << 10  # bytes of an answer
SECONDS = 6  # to connect, and for each read
WORDS = {
    404: "The licence server does not know this code. Compare it with the original.",
    409: "This code was used on another box. Ask your vendor to free it, or for another one.",
    410: "This code has expired, or its licence was cancelled. Ask your vendor for another one.",
}
OFFLINE = " Without network, install a licence file: send the box ID to your vendor."


class Unavailable(CallStashError):
    """The licence server gave no answer that can be used."""


class Licences:
    """The licence of this box."""

    def __init__(self, server: str, key: str, db: Connection, now: Callable[[], datetime]) -> None:
        self._server = server.rstrip("/")
        self._key = licence.public_key(key) if key else None
        self._db = db
        self._now = now
        self._box = licences.box(db)

    def turn(self, life: Life) -> bool:
        """Do the commands that wait, and a refresh that is due."""
        todo = [c for c in commands.waiting(self._db, "housekeeper") if c.kind in _VERBS]
        for command in todo:
            life.doing("looking after the licence")
            self._obey(command)
        known = licences.installed(self._db)
        if not todo and known and self._server and self._now() >= due(known):
            life.doing("refreshing the licence")
            self._refresh(known, "housekeeper")
        return False

    def _obey(self, command: Command) -> None:
        try:
            said = _VERBS[command.kind](self, command)
        except CallStashError as error:
            if isinstance(error, LicenceRefused):
                licences.note(self._db, command.asked_by, "licence.refused", "", reason=str(error))
            commands.answer(self._db, command.id, False, str(error))
            return
        commands.answer(self._db, command.id, True, said)

    def activate(self, command: Command) -> str:
        """Exchange a code for a licence."""
        code = licence.read_code(str(command.arguments["code"]))
        document = self._ask("activate", {"code": code, "version": __version__})
        return self._install(document, command.asked_by, "licence.activated", self._now())

    def install(self, command: Command) -> str:
        """Install a licence file."""
        document = str(command.arguments["document"])
        return self._install(document, command.asked_by, "licence.installed", None)

    def refresh(self, command: Command) -> str:
        """Ask the licence server what is new."""
        known = licences.installed(self._db)
        if known is None:
            raise LicenceRefused("There is no licence yet: enter an activation code first.")
        return self._refresh(known, command.asked_by)

    def _verify(self, document: str) -> Licence:
        if self._key is None:
            raise Unavailable(
                "No vendor key is configured: set 'licence_key' under [housekeeper] in"
                " callstash.toml."
            )
        return licence.verify(document, self._key, self._box)

    def _install(self, document: str, by: str, action: str, refreshed: datetime | None) -> str:
        new = self._verify(document)
        known = licences.installed(self._db)
        if known and self._verify(known.document).issued > new.issued:
            raise LicenceRefused("This licence is older than the one that is installed.")
        with self._db.transaction():
            licences.install(self._db, document, new, refreshed)
            until = new.support_until.isoformat()
            licences.note(
                self._db, by, action, f"licence:{new.serial}", pbxs=new.pbxs, support_until=until
            )
        log.info("licence %s is in force", new.serial, extra={"pbxs": new.pbxs})
        return f"The licence {new.serial} is in force."

    def _refresh(self, known: licences.Installed, by: str) -> str:
        try:
            document = self._ask("refresh", {"serial": known.serial})
            before, new = self._verify(known.document), self._verify(document)
        except CallStashError as error:
            licences.refresh_failed(self._db, self._now(), str(error))
            log.warning("the licence could not be refreshed: %s", error)
            return f"Nothing has changed. {error}"
        changed = (before.pbxs, before.support_until) != (new.pbxs, new.support_until)
        with self._db.transaction():
            licences.install(self._db, document, new, self._now())
            if changed:
                licences.note(
                    self._db, by, "licence.changed", f"licence:{new.serial}",
                    pbxs=new.pbxs, support_until=new.support_until.isoformat(),
                )  # fmt: skip
        return "The licence was refreshed." if changed else "The licence is up to date."

    def _ask(self, what: str, question: dict[str, str]) -> str:
        """Return what the licence server sends. Raises LicenceRefused and Unavailable."""
        if not self._server:
            raise Unavailable(
                "No licence server is configured: set 'licence_server' under [housekeeper] in"
                f" callstash.toml.{OFFLINE}"
            )
        try:
            status, body = _post(f"{self._server}/v1/{what}", {**question, "box": str(self._box)})
        except (requests.RequestException, OSError) as error:
            raise Unavailable(
                f"The licence server {self._server} can't be reached ({_reason(error)}).{OFFLINE}"
            ) from error
        if status == 200:
            return body
        if status in WORDS:
            raise LicenceRefused(WORDS[status])
        raise Unavailable(
            f"The licence server {self._server} can't answer now (status {status}). Try later."
        )


_VERBS: dict[str, Callable[[Licences, Command], str]] = {
    "licence.activate": Licences.activate,
    "licence.install": Licences.install,
    "licence.refresh": Licences.refresh,
}


def due(known: licences.Installed) -> datetime:
    """Return when the licence is refreshed next: daily, and soon after a failure."""
    last = known.tried_at or known.installed_at
    if not known.failures:
        return last + DAILY
    minutes = RETRY_MINUTES[min(known.failures, len(RETRY_MINUTES)) - 1]
    return last + timedelta(minutes=minutes)


def _post(url: str, question: dict[str, Any]) -> tuple[int, str]:
    with requests.Session() as session:
        session.trust_env = False
        with session.post(
            url, json=question, timeout=SECONDS, allow_redirects=False, stream=True
        ) as answer:
            body = answer.raw.read(LONGEST + 1, decode_content=True)
    if len(body) > LONGEST:
        raise requests.RequestException("its answer does not end")
    return answer.status_code, body.decode("utf-8", "replace")


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {SECONDS} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid"
    if isinstance(error, requests.ConnectionError):
        return "no connection: is the name right, and port 443 open to the Internet?"
    return str(error)
