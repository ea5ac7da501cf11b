"""Commands whose answer somebody waits for: a row that a daemon does and answers in words.

The message only says "look"; the row is the command. One that nobody waits for any more is left.
"""

import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import Notify
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from common import outbox
from common.db import Connection
from common.messages import BackupdAnswer, HousekeeperAnswer, NotifierAnswer, PollerAnswer

PATIENCE = 20.0  # seconds that somebody waits
_CHANNEL = "callstash_answer"
_MESSAGES: dict[str, type[Any]] = {
    "poller": PollerAnswer,
    "housekeeper": HousekeeperAnswer,
    "notifier": NotifierAnswer,
    "backupd": BackupdAnswer,
}


@dataclass(frozen=True)
class Command:
    """A command that waits for its daemon: `kind` says what, such as `mail.check`."""

    id: UUID
    kind: str
    arguments: dict[str, Any]
    asked_by: str


@dataclass(frozen=True)
class Answer:
    """What a daemon answered: whether it did it, and one sentence for who asked."""

    succeeded: bool
    answer: str


def ask(db: Connection, daemon: str, kind: str, arguments: Mapping[str, Any], by: str) -> UUID:
    """Give a daemon a command if and when the open transaction of `db` commits; return its id."""
    row = db.execute(
        "INSERT INTO command (daemon, kind, arguments, asked_by) VALUES (%s, %s, %s, %s)"
        " RETURNING id",
        [daemon, kind, Jsonb(dict(arguments)), by],
    ).fetchone()
    assert row is not None
    outbox.send(db, _MESSAGES[daemon](row[0]))
    return UUID(str(row[0]))


def waiting(db: Connection, daemon: str) -> list[Command]:
    """Return the commands of a daemon that somebody still waits for, the oldest first."""
    with db.cursor(row_factory=class_row(Command)) as cursor:
        return cursor.execute(
            "SELECT id, kind, arguments, asked_by FROM command WHERE daemon = %s"
            " AND answered_at IS NULL AND asked_at > now() - %s * interval '1 second'"
            " ORDER BY asked_at",
            [daemon, PATIENCE],
        ).fetchall()


def answer(db: Connection, command: UUID, succeeded: bool, text: str) -> None:
    """Answer a command, once, and wake who waits for it."""
    db.execute(
        "WITH done AS (UPDATE command SET answered_at = now(), succeeded = %s, answer = %s"
        " WHERE id = %s AND answered_at IS NULL RETURNING id)"
        f" SELECT pg_notify('{_CHANNEL}', id::text) FROM done",
        [succeeded, text, command],
    )


def wait(db: Connection, command: UUID, seconds: float) -> Answer | None:
    """Return the answer as soon as it is there; None after `seconds` without one.

    `db` is not inside a transaction.
    """
    deadline = time.monotonic() + seconds
    heard: list[Notify] = []
    db.add_notify_handler(heard.append)
    db.execute(f"LISTEN {_CHANNEL}")
    try:
        while True:
            heard.clear()
            found = _answer(db, command)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            if not heard:  # while the query ran, an answer may have come too late for it
                select.select([db.fileno()], [], [], left)
    finally:
        db.execute(f"UNLISTEN {_CHANNEL}")
        db.remove_notify_handler(heard.append)


def _answer(db: Connection, command: UUID) -> Answer | None:
    with db.cursor(row_factory=class_row(Answer)) as cursor:
        return cursor.execute(
            "SELECT succeeded, answer FROM command WHERE id = %s AND answered_at IS NOT NULL",
            [command],
        ).fetchone()
