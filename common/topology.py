"""All of RabbitMQ in one place: one exchange, one queue for each daemon, one for what nobody can
read.

Every process declares all of it, so that an event waits for a daemon that has never run. Queue
arguments can't be changed later: other arguments need another queue name.
"""

from typing import Any

from common.messages import (
    BackupdAnswer,
    HousekeeperAnswer,
    NotifierAnswer,
    PollerAnswer,
    PollerPbxChanged,
    PollerPollNow,
    RecordingsListed,
)

EXCHANGE = "callstash"
DEAD = "callstash.dead"
DELIVERY_LIMIT = 10  # RabbitMQ 3.x has none by itself

CONSUMERS: dict[str, tuple[type[Any], ...]] = {
    "poller": (PollerPollNow, PollerPbxChanged, PollerAnswer),
    "archiver": (RecordingsListed,),
    "housekeeper": (HousekeeperAnswer,),
    "notifier": (NotifierAnswer,),
    "raidmon": (),
    "backupd": (BackupdAnswer,),
}


def queue(daemon: str) -> str:
    """Return the name of the queue of a daemon."""
    return f"callstash.{daemon}"


def declare(channel: Any) -> None:
    """Declare exchanges, queues and bindings on a pika channel; harmless when they exist."""
    channel.exchange_declare(EXCHANGE, "topic", durable=True)
    channel.exchange_declare(DEAD, "fanout", durable=True)
    channel.queue_declare(DEAD, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(DEAD, DEAD)
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    for daemon, messages in CONSUMERS.items():
        channel.queue_declare(queue(daemon), durable=True, arguments=arguments)
        for cls in messages:
            channel.queue_bind(queue(daemon), EXCHANGE, cls.topic)
