"""The connection to RabbitMQ: deliveries in, confirmed publishes out. Losing it is a delay, never
an error.

While it is gone nothing is sent and nothing arrives; the outbox keeps what is to be said. A
delivery is acknowledged after its effect is committed; one that nobody can read is rejected to the
dead-letter queue; any other failure ends the process, and the message comes back.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from common import messages, topology
from common.errors import BadMessage

log = logging.getLogger(__name__)

RECONNECT_SECONDS = (1.0, 2.0, 5.0, 10.0)
_DOWN = (AMQPError, OSError)
USER = "callstash"  # on an installed CallStash


def parameters(url: str) -> pika.URLParameters:
    """Return how to reach RabbitMQ: user and password are in the URL, or the password is the
    credential `broker` of this process.
    """
    found = pika.URLParameters(url)
    file = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), "broker")
    if file.is_file():
        found.credentials = pika.PlainCredentials(USER, file.read_text(encoding="ascii").strip())
    return found


class Refused(Exception):
    """No queue is bound to the topic."""


class Down(Exception):
    """There is no connection just now."""


class Bus:
    """One connection and channel; `handle(id, message)` is called from `pump` only."""

    def __init__(self, url: str, daemon: str, handle: Callable[[UUID, object], None]) -> None:
        self._parameters = parameters(url)
        self._parameters.heartbeat = 60
        self._parameters.blocked_connection_timeout = 20
        self._parameters.socket_timeout = 5
        self._parameters.stack_timeout = 10
        self._parameters.client_properties = {"connection_name": f"callstash-{daemon}"}
        self._daemon = daemon
        self._handle = handle
        self._connection: Any = None
        self._channel: Any = None
        self._waiting: list[tuple[Any, Any, bytes]] = []
        self._failures = 0
        self._next_try = 0.0

    @property
    def up(self) -> bool:
        """Is there a connection?"""
        return self._channel is not None

    def pump(self, seconds: float) -> bool:
        """Wait at most `seconds` for deliveries, handle those that came, say whether any did."""
        if not self.connect():
            time.sleep(min(seconds, max(0.0, self._next_try - time.monotonic())))
            return False
        try:
            if not self._waiting:
                self._connection.process_data_events(time_limit=seconds)
            handled = bool(self._waiting)
            while self._waiting:
                self._deliver(*self._waiting.pop(0))
        except _DOWN as error:
            self._lost(error)
            return False
        return handled

    def keep_alive(self) -> None:
        """Answer heartbeats in the middle of long work; deliveries wait for the next `pump`."""
        if self._channel is not None:
            try:
                self._connection.process_data_events(time_limit=0)
            except _DOWN as error:
                self._lost(error)

    def publish(self, message_id: UUID, topic: str, body: str) -> None:
        """Publish and wait for the confirm. Raises Down (say it again later) or Refused (nobody
        listens).
        """
        if self._channel is None:
            raise Down
        properties = pika.BasicProperties(
            message_id=str(message_id),
            type=topic,
            app_id=f"callstash-{self._daemon}",
            content_type="application/json",
            delivery_mode=2,
        )
        try:
            self._channel.basic_publish(
                topology.EXCHANGE, topic, body.encode(), properties, mandatory=True
            )
        except UnroutableError as error:
            raise Refused(topic) from error
        except NackError as error:
            raise Down from error
        except _DOWN as error:
            self._lost(error)
            raise Down from error

    def close(self) -> None:
        """End the connection; what was delivered and not acknowledged returns to the queue."""
        connection, self._connection, self._channel = self._connection, None, None
        self._waiting.clear()
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except _DOWN as error:
                log.debug("closing: %s", error)

    def connect(self) -> bool:
        """Say whether there is a connection; make one unless it is too early to try again."""
        if self._channel is not None:
            return True
        if time.monotonic() < self._next_try:
            return False
        try:
            self._connection = pika.BlockingConnection(self._parameters)
            channel = self._connection.channel()
            channel.confirm_delivery()
            topology.declare(channel)
            if self._daemon in topology.CONSUMERS:
                channel.basic_qos(prefetch_count=1)
                channel.basic_consume(topology.queue(self._daemon), self._arrived)
        except _DOWN as error:
            self._lost(error)
            return False
        if self._failures:
            log.info("RabbitMQ is back")
        self._channel, self._failures = channel, 0
        return True

    def _arrived(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._waiting.append((method, properties, body))

    def _deliver(self, method: Any, properties: Any, body: bytes) -> None:
        try:
            message_id = UUID(properties.message_id or "")
            message = messages.decode(properties.type or "", body)
            if type(message) not in topology.CONSUMERS[self._daemon]:
                raise BadMessage(f"{properties.type} is not for the {self._daemon}")
        except (BadMessage, ValueError) as error:
            log.error("a message was put aside as unreadable: %s", error)
            self._channel.basic_reject(method.delivery_tag, requeue=False)
            return
        self._handle(message_id, message)
        self._channel.basic_ack(method.delivery_tag)

    def _lost(self, error: BaseException) -> None:
        if self._failures == 0:
            log.warning(
                "RabbitMQ is gone, going on without it: %s", str(error) or type(error).__name__
            )
        pause = RECONNECT_SECONDS[min(self._failures, len(RECONNECT_SECONDS) - 1)]
        self._failures += 1
        self._next_try = time.monotonic() + pause
        self.close()
