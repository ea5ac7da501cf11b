"""A change and its announcement commit together (outbox); a message and its effect commit together
(inbox).

Every daemon relays any waiting row, so a message outlives the process that wrote it.
"""

import logging
from typing import Any, Protocol
from uuid import UUID

from psycopg.pq import TransactionStatus

from common import messages
from common.bus import Down, Refused
from common.db import Connection

log = logging.getLogger(__name__)

_BATCH = 100


class Publisher(Protocol):
    """What relaying needs of the bus."""

    @property
    def up(self) -> bool:
        """Is there a connection?"""

    def publish(self, message_id: UUID, topic: str, body: str) -> None:
        """Publish and wait for the confirm; raises Down or Refused."""


def send(db: Connection, msg: Any) -> None:
    """Say `msg` if and when the open transaction of `db` commits."""
    assert db.info.transaction_status == TransactionStatus.INTRANS, "send needs a transaction"
    db.execute(
        "INSERT INTO outbox (topic, body) VALUES (%s, %s::jsonb)",
        [messages.topic_of(msg), messages.encode(msg)],
    )


def first_time(db: Connection, consumer: str, message_id: UUID) -> bool:
    """Note that `consumer` handles this message now; false when it has done so before."""
    cursor = db.execute(
        "INSERT INTO inbox (consumer, message_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [consumer, message_id],
    )
    return cursor.rowcount == 1


def relay(db: Connection, bus: Publisher) -> bool:
    """Publish waiting rows and mark them sent; say whether more may wait.

    A row whose topic nobody listens to is parked with `refused_at`: it can't hold up the rest.
    """
    if not bus.up:
        return False
    with db.transaction():
        rows = db.execute(
            "SELECT id, topic, body::text FROM outbox WHERE sent_at IS NULL AND refused_at IS NULL"
            " ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED",
            [_BATCH],
        ).fetchall()
        sent, refused = [], []
        for message_id, topic, body in rows:
            try:
                bus.publish(message_id, topic, body)
                sent.append(message_id)
            except Refused:
                log.error("nobody listens to %s: the message is parked", topic)
                refused.append(message_id)
            except Down:
                break
        if sent or refused:
            db.execute(
                "UPDATE outbox SET sent_at = CASE WHEN id = ANY(%(sent)s) THEN now() END,"
                " refused_at = CASE WHEN id = ANY(%(refused)s) THEN now() END"
                " WHERE id = ANY(%(sent)s) OR id = ANY(%(refused)s)",
                {"sent": sent, "refused": refused},
            )
    return len(rows) == _BATCH and bus.up
