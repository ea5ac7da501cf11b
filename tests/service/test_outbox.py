"""Outbox and inbox on a real PostgreSQL and a real RabbitMQ: nothing said is lost or done twice."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pika
import psycopg
import pytest

from common import outbox, topology
from common.bus import Bus, Down
from common.messages import PollerPbxChanged, PollerPollNow
from tests.waiting import until

Db = psycopg.Connection[Any]


class Receiver:
    """A consumer that writes down what arrives."""

    def __init__(self, url: str) -> None:
        self.got: list[tuple[UUID, object]] = []
        self.bus = Bus(url, "poller", lambda *message: self.got.append(message))
        self.pump()

    def pump(self) -> None:
        self.bus.pump(0.05)


@pytest.fixture
def receiver(broker_url: str) -> Iterator[Receiver]:
    made = Receiver(broker_url)
    yield made
    made.bus.close()


def die(_id: UUID, _message: object) -> None:
    raise ZeroDivisionError


def say(db: Db, *messages: object) -> None:
    with db.transaction():
        for message in messages:
            outbox.send(db, message)


def waiting(db: Db) -> int:
    row = db.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL").fetchone()
    assert row is not None
    return int(row[0])


def depth(url: str, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


def test_what_is_committed_arrives_once(db: Db, receiver: Receiver) -> None:
    say(db, PollerPbxChanged(10), PollerPollNow(11, "sysadmin"))
    outbox.relay(db, receiver.bus)
    until(lambda: len(receiver.got) == 2, doing=receiver.pump)
    assert [message for _, message in receiver.got] == [
        PollerPbxChanged(10),
        PollerPollNow(11, "sysadmin"),
    ]
    outbox.relay(db, receiver.bus)
    receiver.pump()
    assert len(receiver.got) == 2
    assert waiting(db) == 0


def test_what_is_rolled_back_is_never_said(db: Db) -> None:
    with pytest.raises(RuntimeError), db.transaction():
        outbox.send(db, PollerPbxChanged(10))
        raise RuntimeError
    assert waiting(db) == 0


def test_sending_outside_a_transaction_is_a_bug(db: Db) -> None:
    with pytest.raises(AssertionError):
        outbox.send(db, PollerPbxChanged(10))


def test_a_repeat_is_recognised(db: Db) -> None:
    message = uuid4()
    assert outbox.first_time(db, "poller", message)
    assert not outbox.first_time(db, "poller", message)
    assert outbox.first_time(db, "archiver", message)


def test_when_nobody_listens_to_a_topic_then_it_is_parked_and_the_rest_goes_on(
    db: Db, receiver: Receiver
) -> None:
    db.execute("INSERT INTO outbox (topic, body) VALUES ('nobody.cares.v1', '{}')")
    say(db, PollerPbxChanged(10))
    outbox.relay(db, receiver.bus)
    until(lambda: len(receiver.got) == 1, doing=receiver.pump)
    row = db.execute(
        "SELECT topic, refused_at, sent_at FROM outbox WHERE sent_at IS NULL"
    ).fetchone()
    assert row is not None
    assert row[0] == "nobody.cares.v1"
    assert row[1] is not None


def test_when_the_broker_is_unreachable_then_the_outbox_waits(db: Db) -> None:
    bus = Bus("amqp://127.0.0.1:1/", "poller", lambda *_: None)
    say(db, PollerPbxChanged(10))
    assert not bus.pump(0.01)
    outbox.relay(db, bus)
    assert waiting(db) == 1
    with pytest.raises(Down):
        bus.publish(uuid4(), "poller.pbx_changed.v1", "{}")


def test_an_unreadable_message_goes_to_the_dead_letters(
    broker_url: str, receiver: Receiver
) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        for properties in (
            pika.BasicProperties(message_id=str(uuid4()), type="poller.pbx_changed.v1"),
            pika.BasicProperties(message_id="not a UUID", type="poller.pbx_changed.v1"),
            pika.BasicProperties(message_id=str(uuid4()), type="recordings.listed.v1"),
            pika.BasicProperties(),
        ):
            channel.basic_publish(
                topology.EXCHANGE, "poller.pbx_changed.v1", b'{"pbx": "ten"}', properties
            )
    until(lambda: depth(broker_url, topology.DEAD) == 4, doing=receiver.pump)
    assert receiver.got == []


def test_when_a_handler_dies_then_the_message_comes_back(broker_url: str, db: Db) -> None:
    bus = Bus(broker_url, "poller", die)
    bus.pump(0.05)
    say(db, PollerPbxChanged(10))
    outbox.relay(db, bus)

    def killed() -> bool:
        try:
            bus.pump(0.05)
        except ZeroDivisionError:
            return True
        return False

    until(killed)
    bus.close()
    receiver = Receiver(broker_url)
    until(lambda: len(receiver.got) == 1, doing=receiver.pump)
    receiver.bus.close()


def test_a_message_that_kills_its_consumer_again_and_again_ends_as_a_dead_letter(
    broker_url: str, db: Db
) -> None:
    deaths = 0

    first = Bus(broker_url, "poller", die)
    first.pump(0.05)
    say(db, PollerPbxChanged(10))
    outbox.relay(db, first)
    first.close()

    def dead() -> bool:
        nonlocal deaths
        bus = Bus(broker_url, "poller", die)
        try:
            bus.pump(2)
        except ZeroDivisionError:
            deaths += 1
        bus.close()
        return depth(broker_url, topology.DEAD) == 1

    until(dead, 30)
    assert topology.DELIVERY_LIMIT - 1 <= deaths <= topology.DELIVERY_LIMIT + 1


def test_deliveries_wait_while_a_step_reports_that_it_is_alive(receiver: Receiver, db: Db) -> None:
    say(db, PollerPbxChanged(10))
    outbox.relay(db, receiver.bus)
    until(lambda: bool(receiver.bus._waiting), doing=receiver.bus.keep_alive)
    assert receiver.got == []
    receiver.pump()
    assert len(receiver.got) == 1
