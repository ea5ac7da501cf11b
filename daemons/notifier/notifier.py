"""The notifier: looks what needs a person, tells them by mail and webhook, and tries a mail server
before it is saved.
"""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import commands, keys, mail, seal
from common.commands import Command
from common.daemon import Life
from common.db import Connection
from common.errors import CallStashError
from common.messages import NotifierAnswer
from common.zone import zone
from daemons.notifier import compose, smtp
from daemons.notifier.alerts import Alerts
from daemons.notifier.outgoing import Outgoing, Sending
from daemons.notifier.queries import mails
from daemons.notifier.webhooks import Webhooks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The notifier's part of callstash.toml."""

    database: str
    broker: str
    web_url: str = ""  # the address of the web UI for links in mails; empty: this machine's name
    timezone: str = ""  # IANA name of the zone of times in mails; empty: this machine's
    certificate: Path | None = None  # of the web UI, whose end is watched


class Notifier:
    """Handlers and steps of callstash-notifier."""

    def __init__(
        self,
        settings: Settings,
        db: Connection,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._now = now
        self._key = keys.load_credential("mail.key")
        self._outgoing = Outgoing(db, self._key, now, self._sending)
        self._webhooks = Webhooks(db, self._key, now)
        url = settings.web_url.rstrip("/") or f"https://{socket.getfqdn()}"
        self._alerts = Alerts(
            db, now, f"{url}/alerts", zone(settings.timezone), settings.certificate
        )

    def on_answer(self, _message: NotifierAnswer) -> None:
        """Wake up: the step does the command."""

    def step(self, life: Life) -> bool:
        """Do the commands that wait, look what is wrong, and send what is due."""
        for command in commands.waiting(self._db, "notifier"):
            life.doing("talking to the mail server")
            try:
                said = _VERBS[command.kind](self, command)
            except CallStashError as error:
                log.warning("%s: %s", command.kind, error)
                commands.answer(self._db, command.id, False, str(error))
            else:
                commands.answer(self._db, command.id, True, said)
        self._alerts.turn(life)
        if any([self._outgoing.step(life), self._webhooks.step(life)]):
            return True
        life.doing("waiting for something to tell")
        return False

    def check(self, command: Command) -> str:
        """Try a mail server that is about to be saved."""
        wanted = command.arguments
        sealed = bytes.fromhex(wanted["password_sealed"]) if wanted["password_sealed"] else None
        saved = mails.server(self._db)
        if sealed is None and wanted["username"] and saved is not None:
            sealed = saved.password_sealed  # opens only where host, security and user are the same
        smtp.check(self._server(wanted, sealed))
        return f"{wanted['host']} accepts mail from CallStash."

    def test(self, command: Command) -> str:
        """Send a test mail with the saved settings."""
        saved, settings = mails.server(self._db), mails.settings(self._db)
        if saved is None:
            raise smtp.MailRefused("No e-mail server is set up yet.")
        if not settings.sender or not settings.recipients:
            raise smtp.MailRefused(
                "Enter the From address and at least one recipient under Notifications first."
            )
        message = compose.test_mail(
            settings.sender, settings.recipients, socket.gethostname(), command.id, self._now()
        )
        smtp.send(self._server(vars(saved), saved.password_sealed), message)
        return f"A test mail was sent to {', '.join(settings.recipients)}."

    def test_webhook(self, command: Command) -> str:
        """Tell a webhook something harmless."""
        return self._webhooks.test(int(command.arguments["webhook"]))

    def _sending(self) -> Sending | None:
        """Return what is set up; None: nothing that could send."""
        saved, settings = mails.server(self._db), mails.settings(self._db)
        if saved is None or not settings.sender:
            return None
        return Sending(self._server(vars(saved), saved.password_sealed), settings.sender)

    def _server(self, wanted: dict[str, Any], sealed: bytes | None) -> smtp.Server:
        host, security, username = wanted["host"], wanted["security"], wanted["username"]
        password = ""
        if username and sealed:
            bound = mail.context(host, security, username)
            password = seal.unseal(self._key, sealed, bound).decode()
        return smtp.Server(host, int(wanted["port"]), security, username, password)


_VERBS: dict[str, Callable[[Notifier, Command], str]] = {
    "mail.check": Notifier.check,
    "mail.test": Notifier.test,
    "webhook.test": Notifier.test_webhook,
}
