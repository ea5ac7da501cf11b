"""The private RabbitMQ: what it keeps over a kill, and what a wipe takes."""

from contextlib import closing
from pathlib import Path

import pika

from devtools.stack import Stack
from tests.waiting import until


def _publish(url: str, body: bytes) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "q", body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def _get(url: str) -> bytes | None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"})
        body: bytes | None = channel.basic_get("q", auto_ack=True)[2]
        return body


def test_a_kill_keeps_what_was_confirmed_and_a_wipe_takes_it(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack")
    stack.rabbitmq.start()
    try:
        url = stack.rabbitmq.add_vhost("one")
        _publish(url, b"kept")
        names = next(stack.rabbitmq.data.glob("*/quorum/*/names.dets"))
        until(lambda: b"one_q" in names.read_bytes())  # RabbitMQ forgets younger queues in a kill
        stack.rabbitmq.kill()
        stack.rabbitmq.start()
        until(lambda: _get(url) == b"kept")
        _publish(url, b"taken")
        stack.rabbitmq.kill()
        stack.wipe_rabbitmq()
        stack.rabbitmq.start()
        assert _get(url) is None
    finally:
        stack.stop()
