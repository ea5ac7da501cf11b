"""Commands with answers: asked in one process, done in another, heard at once."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg

from common import commands
from common.commands import Answer

Connect = Callable[[str], psycopg.Connection[Any]]


def asked(web: psycopg.Connection[Any], daemon: str = "notifier") -> UUID:
    with web.transaction():
        return commands.ask(web, daemon, "mail.check", {"host": "mail.example.com"}, "sysadmin")


def test_a_command_reaches_its_daemon_and_the_answer_who_waits_for_it(connect_as: Connect) -> None:
    web, notifier = connect_as("web"), connect_as("notifier")
    command = asked(web)
    (waiting,) = commands.waiting(notifier, "notifier")
    assert (waiting.id, waiting.kind) == (command, "mail.check")
    assert (waiting.arguments, waiting.asked_by) == ({"host": "mail.example.com"}, "sysadmin")
    assert commands.waiting(notifier, "housekeeper") == []
    answers: list[Answer | None] = []
    waiter = threading.Thread(target=lambda: answers.append(commands.wait(web, command, 30)))
    waiter.start()
    commands.answer(notifier, command, True, "it answers")
    waiter.join(10)
    assert answers == [Answer(True, "it answers")]
    assert commands.waiting(notifier, "notifier") == []


def test_an_answer_that_is_already_there_is_returned_at_once(connect_as: Connect) -> None:
    web, notifier = connect_as("web"), connect_as("notifier")
    command = asked(web)
    commands.answer(notifier, command, False, "no")
    assert commands.wait(web, command, 30) == Answer(False, "no")


def test_the_first_answer_stands(connect_as: Connect) -> None:
    web, notifier = connect_as("web"), connect_as("notifier")
    command = asked(web)
    commands.answer(notifier, command, False, "no")
    commands.answer(notifier, command, True, "yes")
    assert commands.wait(web, command, 30) == Answer(False, "no")


def test_without_an_answer_waiting_ends(connect_as: Connect) -> None:
    web = connect_as("web")
    assert commands.wait(web, asked(web), 0.1) is None


def test_a_command_that_nobody_waits_for_any_more_is_left(
    connect_as: Connect, db: psycopg.Connection[Any]
) -> None:
    asked(connect_as("web"))
    db.execute("UPDATE command SET asked_at = asked_at - interval '1 minute'")
    assert commands.waiting(connect_as("notifier"), "notifier") == []


def test_the_message_of_a_command_commits_with_it(
    connect_as: Connect, db: psycopg.Connection[Any]
) -> None:
    command = asked(connect_as("web"))
    rows = db.execute("SELECT topic, body->>'command' FROM outbox").fetchall()
    assert rows == [("notifier.answer.v1", str(command))]
