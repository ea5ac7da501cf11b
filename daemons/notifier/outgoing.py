"""Mail that waits in the database: claimed in one commit, handed over, and marked in the next.

Killed in between, the notifier sends it again, with the same Message-ID: once is not enough there,
never is worse. A server that is away for long is asked again at growing intervals.
"""

import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from common import mail, seal
from common.daemon import Life
from common.db import Connection
from common.errors import KeyUnavailable
from daemons.notifier import compose, smtp
from daemons.notifier.queries import mails
from daemons.notifier.smtp import MailRefused, Server

log = logging.getLogger(__name__)

FIRST, LONGEST = timedelta(seconds=15), timedelta(minutes=30)


@dataclass(frozen=True)
class Sending:
    """What it takes to send: the server that is set up now, and the address of the sender."""

    server: Server
    sender: str


class Outgoing:
    """Sends the mail that is due, one in each step."""

    def __init__(
        self, db: Connection, key: bytes, now: Callable[[], datetime],
        sending: Callable[[], Sending | None],
    ) -> None:  # fmt: skip
        self._db = db
        self._key = key
        self._now = now
        self._sending = sending

    def step(self, life: Life) -> bool:
        """Send one mail, and say whether there was one."""
        due = mails.claim(self._db, self._now(), FIRST, LONGEST)
        if due is None:
            return False
        extra = {"mail": due.id}
        if self._now() >= due.expires_at:
            mails.give_up(self._db, due.id, self._now(), due.error or "It was of no more use.")
            log.warning("a mail is given up: it could not be sent in time", extra=extra)
            return True
        life.doing("sending mail")
        try:
            self._send(due)
        except MailRefused as error:
            if error.final:
                mails.give_up(self._db, due.id, self._now(), str(error))
                log.error("a mail is refused: %s", error, extra=extra)
            else:
                mails.failed(self._db, due.id, str(error))
                if due.attempts == 1:
                    log.warning("a mail waits for another try: %s", error, extra=extra)
        else:
            mails.sent(self._db, due.id, self._now())
            log.info("mail sent", extra=extra)
        return True

    def _send(self, due: mails.Due) -> None:
        sending = self._sending()
        if sending is None:
            raise MailRefused("No e-mail server is set up.")
        try:
            said = json.loads(seal.unseal(self._key, due.sealed, mail.bound(due.id)))
        except KeyUnavailable as error:
            raise MailRefused(f"It can't be read: {error}.", final=True) from error
        try:
            message = compose.mail(
                sending.sender, [due.recipient], socket.gethostname(), due.id, due.created_at,
                said["title"], said["paragraphs"],
            )  # fmt: skip
        except ValueError as error:
            raise MailRefused(f"It can't be written: {error}.", final=True) from error
        smtp.send(sending.server, message)
