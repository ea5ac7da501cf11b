"""The housekeeper's chores: dead letters out of a real RabbitMQ, and the disks of this machine."""

import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
import psycopg
import pytest

from common import queues, topology
from common.queries import health
from daemons.housekeeper.dead_letters import DeadLetters
from daemons.housekeeper.disks import Disks
from daemons.housekeeper.queries import system as chores
from daemons.notifier.queries import facts
from tests.quiet import Quiet
from webui.queries import system

Connect = Callable[[str], psycopg.Connection[Any]]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def die(broker_url: str, body: bytes, message_id: str | None = None) -> None:
    """Have a message die as the poller lets one die that it can't read."""
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    channel = connection.channel()
    topology.declare(channel)
    channel.confirm_delivery()
    properties = pika.BasicProperties(
        message_id=message_id or str(uuid.uuid4()), type="poller.poll_now.v1", delivery_mode=2
    )
    channel.basic_publish(topology.EXCHANGE, "poller.poll_now.v1", body, properties)
    while True:
        method, _, _ = channel.basic_get(topology.queue("poller"))
        if method is not None:
            channel.basic_reject(method.delivery_tag, requeue=False)
            break
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while channel.queue_declare(topology.DEAD, passive=True).method.message_count == 0:
        connection.process_data_events(0.02)
        assert datetime.now(UTC) < deadline
    connection.close()


def test_a_dead_message_is_moved_to_the_table_once(
    broker_url: str, connect_as: Connect, db: psycopg.Connection[Any]
) -> None:
    die(broker_url, b'{"pbx": 10}')
    chore = DeadLetters(broker_url, connect_as("housekeeper"))
    assert chore.turn(Quiet()) is False  # type: ignore[arg-type]
    (letter,) = system.letters(db, 10)
    assert (letter.topic, letter.body) == ("poller.poll_now.v1", '{"pbx": 10}')
    assert (letter.queue, letter.reason) == ("callstash.poller", "rejected")
    assert abs(datetime.now(UTC) - letter.died_at) < timedelta(minutes=1)
    assert facts.stuck_messages(db) == 1
    DeadLetters(broker_url, connect_as("housekeeper")).turn(Quiet())  # type: ignore[arg-type]
    assert len(system.letters(db, 10)) == 1
    assert chore.turn(Quiet()) is False  # type: ignore[arg-type]


def test_one_that_was_noted_and_not_acknowledged_is_recognised(
    broker_url: str,
    connect_as: Connect,
    db: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    die(broker_url, b"\xff\xfe\x00", "the same")
    housekeeper = connect_as("housekeeper")
    chore, killed = DeadLetters(broker_url, housekeeper), DeadLetters(broker_url, housekeeper)

    class Killed(Exception):
        pass

    note = killed._note

    def kill(*arguments: Any) -> None:
        note(*arguments)
        raise Killed

    monkeypatch.setattr(killed, "_note", kill)
    with pytest.raises(Killed):
        killed.turn(Quiet())  # type: ignore[arg-type]
    chore.turn(Quiet())  # type: ignore[arg-type]
    (letter,) = system.letters(db, 10)
    assert letter.body == "base64://4A"


def test_without_rabbitmq_the_housekeeper_goes_on(connect_as: Connect) -> None:
    chore = DeadLetters("amqp://127.0.0.1:1", connect_as("housekeeper"))
    assert chore.turn(Quiet()) is False  # type: ignore[arg-type]


def test_the_queues_are_looked_at_without_touching_them(broker_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    topology.declare(connection.channel())
    connection.close()
    found = queues.look(broker_url)
    assert found is not None
    version, rows = found
    assert version.startswith(("3.", "4."))
    assert {row.name for row in rows} == set(topology.CONSUMERS)
    assert all(row.purpose for row in rows)
    assert queues.look("amqp://127.0.0.1:1") is None


def test_disks_are_measured_each_minute_and_kept_for_each_day(
    connect_as: Connect, db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    clock = [NOW]
    chore = Disks(
        tmp_path, tmp_path / "nowhere", tmp_path / "backup", connect_as("housekeeper"),
        lambda: clock[0],
    )  # fmt: skip
    for step in (0, 30, 90, 86400, 2 * 86400, 3 * 86400):
        clock[0] = NOW + timedelta(seconds=step)
        chore.turn(Quiet())  # type: ignore[arg-type]
    (disk,) = health.disks(db)
    usage = shutil.disk_usage(tmp_path)
    assert (disk.volume, disk.size, disk.directory) == ("audio", usage.total, str(tmp_path))
    assert abs(disk.free - usage.free) < 1 << 30
    assert disk.seen_at == clock[0]
    assert db.execute("SELECT count(*) FROM disk_sample").fetchone() == (4,)
    clock[0] = NOW + timedelta(days=731)
    chore.turn(Quiet())  # type: ignore[arg-type]
    assert db.execute("SELECT min(day) FROM disk_sample").fetchone() == (
        (NOW + timedelta(days=1)).date(),
    )


def test_a_disk_is_low_below_a_tenth_and_no_longer_above_twelve_hundredths(
    db: psycopg.Connection[Any],
) -> None:
    now, seen = datetime(2026, 11, 24, tzinfo=UTC), []
    for free in (110, 100, 99, 110, 119, 120, 110):
        chores.note_disk(db, "audio", "/x", 1000, free, now)
        seen.append(health.disks(db)[0].is_low)
    assert seen == [False, False, True, True, True, False, False]


def test_the_day_when_a_disk_is_full_follows_from_its_growth(db: psycopg.Connection[Any]) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    for day in range(10):
        chores.note_disk(db, "audio", "/x", 1000, 1000 - 50 * day, now + timedelta(days=day))
    assert health.disks(db)[0].full_on == date(2026, 12, 14)


def test_an_archive_that_is_not_there_has_no_disk(
    db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    there = [True]
    clock = [datetime(2026, 11, 24, tzinfo=UTC)]
    chore = Disks(tmp_path, tmp_path, tmp_path, db, lambda: clock[0], lambda: there[0])
    for there[0], volumes in ((True, ["audio", "database"]), (False, ["database"])):
        chore.turn(Quiet())  # type: ignore[arg-type]
        assert [disk.volume for disk in health.disks(db)] == volumes
        clock[0] += timedelta(minutes=1)
