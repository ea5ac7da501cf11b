"""Dead letters: messages that no daemon could read or survive, moved to where people see them.

A letter is noted before it is acknowledged; one that comes again is recognised.
"""

import base64
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pika
from pika.exceptions import AMQPError

from common import topology
from common.bus import parameters
from common.daemon import Life
from common.db import Connection
from daemons.housekeeper.queries import system

log = logging.getLogger(__name__)

EVERY = 20.0  # seconds
BATCH = 100


class DeadLetters:
    """Empties the dead-letter queue into the table."""

    def __init__(self, broker: str, db: Connection) -> None:
        self._parameters = parameters(broker)
        self._parameters.socket_timeout = self._parameters.stack_timeout = 5
        self._parameters.blocked_connection_timeout = 5
        self._db = db
        self._next = 0.0

    def turn(self, _life: Life) -> bool:
        """Move what is there, every so often; without RabbitMQ there is nothing to move."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + EVERY
        try:
            connection = pika.BlockingConnection(self._parameters)
        except (AMQPError, OSError):
            return False
        try:
            moved = self._move(connection.channel())
        except (AMQPError, OSError) as error:
            log.debug("the dead-letter queue: %s", error)
            return False
        finally:
            if connection.is_open:
                connection.close()
        if moved == BATCH:
            self._next = 0.0
        return moved == BATCH

    def _move(self, channel: Any) -> int:
        topology.declare(channel)
        for moved in range(BATCH):
            method, properties, body = channel.basic_get(topology.DEAD)
            if method is None:
                return moved
            self._note(properties, body)
            channel.basic_ack(method.delivery_tag)
        return BATCH

    def _note(self, properties: Any, body: bytes) -> None:
        death = _death(properties.headers or {})
        queue, reason = str(death.get("queue", "unknown")), str(death.get("reason", "unknown"))
        text = body.decode(errors="replace")
        if "\ufffd" in text or not text.isprintable():
            text = "base64:" + base64.b64encode(body).decode()
        at = death.get("time")
        died = (
            at.replace(tzinfo=UTC) if isinstance(at, datetime) else datetime.fromtimestamp(0, UTC)
        )
        system.note_dead_letter(
            self._db, _clean(properties.message_id), _clean(properties.type), text,
            _clean(queue), _clean(reason), died,
        )  # fmt: skip
        log.error(
            "a message was given up: %s in %s", properties.type, queue, extra={"reason": reason}
        )


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the newest entry of x-death (RabbitMQ, Dead Letter Exchanges)."""
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths else {}


def _clean(text: str | None) -> str:
    return "".join(c if c.isprintable() else "?" for c in text or "")[:200]
