"""A notifier with a clock of its own, a mailbox, and what it is to notice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import psycopg

from daemons.notifier.notifier import Notifier, Settings
from simulators.mail.server import Mailbox
from tests.quiet import Quiet

Connect = Callable[[str], psycopg.Connection[Any]]
NOW = datetime(2036, 11, 25, 12, tzinfo=UTC)  # a Tuesday, later than any real clock
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Killed(Exception):
    """Stands for SIGKILL."""


class Office:
    """A notifier with a clock of its own and a mailbox."""

    def __init__(self, db: psycopg.Connection[Any], connect_as: Connect, mailbox: Mailbox) -> None:
        self.db = db
        self.now = NOW
        self.mailbox = mailbox
        self._connect = connect_as
        self._connection: psycopg.Connection[Any] | None = None
        self.settings = Settings("", "", "https://box.example.com", "UTC")
        self.start()

    def start(self, die_at: int = 0) -> None:
        """Start the notifier anew; it dies at its n-th statement, if that is given."""
        if self._connection is not None:
            self._connection.close()
        self._connection = connection = self._connect("notifier")
        self.notifier = Notifier(self.settings, connection, lambda: self.now)
        if die_at:
            left = [die_at]

            def counted(real: Any) -> Any:
                def call(*arguments: Any, **named: Any) -> Any:
                    left[0] -= 1
                    if left[0] == 0:
                        raise Killed
                    return real(*arguments, **named)

                return call

            connection.execute = counted(connection.execute)  # type: ignore[method-assign]
            connection.cursor = counted(connection.cursor)  # type: ignore[method-assign]

    def work(self, after: timedelta = MINUTE) -> list[str]:
        """Let time pass, do all that is due, and return the subjects of the mails."""
        self.now += after
        before = len(self.mailbox.mails)
        while self.notifier.step(Quiet()):  # type: ignore[arg-type]
            pass
        return [self.subject(mail) for mail in self.mailbox.mails[before:]]

    def subject(self, mail: EmailMessage) -> str:
        return " ".join(str(mail["Subject"]).split()).removeprefix("CallStash: ")

    def disk(self, free: int, volume: str = "audio") -> None:
        """Make a disk of 1000 bytes have so much left."""
        self.db.execute(
            "INSERT INTO disk VALUES (%s, '/x', 1000, %s, now(), %s) ON CONFLICT (volume)"
            " DO UPDATE SET free = excluded.free, is_low = excluded.is_low",
            [volume, free, free < 100],
        )

    def pbx(self, failures: int = 0) -> int:
        """Add a PBX whose polls have failed so often."""
        (number,) = self.db.execute(
            "INSERT INTO pbx (name, url, token_sealed, timezone) VALUES ('Main', 'https://' ||"
            " gen_random_uuid(), 'x', 'UTC') RETURNING id"
        ).fetchone() or (0,)
        self.db.execute("INSERT INTO poll_schedule VALUES (%s, now(), NULL, %s)",
                        [number, failures])  # fmt: skip
        self.db.execute("INSERT INTO poll (pbx_id, trigger, state, finished_at, error)"
                        " VALUES (%s, 'schedule', 'failed', now(), 'it is away')",
                        [number])  # fmt: skip
        return int(number)

    def fail(self, pbx: int, failures: int) -> None:
        self.db.execute("UPDATE poll_schedule SET failures = %s WHERE pbx_id = %s",
                        [failures, pbx])  # fmt: skip

    def rows(self, query: str) -> list[Any]:
        return self.db.execute(query).fetchall()
