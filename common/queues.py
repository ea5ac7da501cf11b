"""The queues of RabbitMQ, looked at without touching them."""

from dataclasses import dataclass

import pika
from pika.exceptions import AMQPError

from common import topology
from common.bus import parameters as reach

SECONDS = 2.0
PURPOSES = {
    "poller": "polls that were asked for, changed settings",
    "archiver": "recordings to fetch",
    "housekeeper": "licence and housekeeping commands",
    "notifier": "mail and webhook commands",
    "raidmon": "nothing: it looks by itself",
    "backupd": "backup commands",
}


@dataclass(frozen=True)
class Queue:
    """A queue with its messages that wait, and how many processes listen to it."""

    name: str
    purpose: str
    messages: int
    consumers: int


def look(broker: str) -> tuple[str, list[Queue]] | None:
    """Return the version of RabbitMQ and its queues; None where it does not answer in time."""
    parameters = reach(broker)
    parameters.socket_timeout = parameters.stack_timeout = SECONDS
    parameters.blocked_connection_timeout = SECONDS
    parameters.connection_attempts = 1
    try:
        connection = pika.BlockingConnection(parameters)
    except (AMQPError, OSError):
        return None
    try:
        channel = connection.channel()
        found = []
        for daemon in topology.CONSUMERS:
            declared = channel.queue_declare(topology.queue(daemon), passive=True).method
            purpose = PURPOSES.get(daemon, "")
            found.append(Queue(daemon, purpose, declared.message_count, declared.consumer_count))
        properties = connection._impl.server_properties  # pika has no public name for it
        return str(properties.get("version", "unknown")), found
    except (AMQPError, OSError):
        return None
    finally:
        if connection.is_open:
            connection.close()
