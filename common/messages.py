"""Every message on the bus: what is said, to whom it matters, and how it looks on the wire.

A message says "look"; the truth is in the database. Events are in the past tense, commands name the
daemon first. A new field needs a default; any other change is a new version beside the old one.
"""

import dataclasses
import json
import typing
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from common.errors import BadMessage

T = TypeVar("T")
TOPICS: dict[str, type[Any]] = {}


def message(topic: str) -> Callable[[type[T]], type[T]]:
    """Register a frozen dataclass under its topic, such as `poller.poll_now.v1`."""

    def register(cls: type[T]) -> type[T]:
        cls.topic = topic  # type: ignore[attr-defined]
        TOPICS[topic] = cls
        return cls

    return register


@message("recordings.listed.v1")
@dataclasses.dataclass(frozen=True)
class RecordingsListed:
    """A poll found recordings to fetch. From the poller, one for each company and poll."""

    pbx: int
    company: int
    poll: int
    new: int


@message("poller.poll_now.v1")
@dataclasses.dataclass(frozen=True)
class PollerPollNow:
    """Poll this PBX as soon as its running poll ends. From the web UI and the console tools."""

    pbx: int
    by: str


@message("poller.pbx_changed.v1")
@dataclasses.dataclass(frozen=True)
class PollerPbxChanged:
    """A PBX was added or its settings changed. From the web UI and the console tools."""

    pbx: int


@message("poller.answer.v1")
@dataclasses.dataclass(frozen=True)
class PollerAnswer:
    """Do and answer a command (common/commands.py). From the web UI."""

    command: UUID


@message("housekeeper.answer.v1")
@dataclasses.dataclass(frozen=True)
class HousekeeperAnswer:
    """Do and answer a command (common/commands.py). From the web UI."""

    command: UUID


@message("notifier.answer.v1")
@dataclasses.dataclass(frozen=True)
class NotifierAnswer:
    """Do and answer a command (common/commands.py). From the web UI."""

    command: UUID


@message("backupd.answer.v1")
@dataclasses.dataclass(frozen=True)
class BackupdAnswer:
    """Do and answer a command (common/commands.py). From the web UI."""

    command: UUID


def topic_of(msg: object) -> str:
    """Return the topic of a message."""
    return str(type(msg).topic)  # type: ignore[attr-defined]


def encode(msg: Any) -> str:
    """Return the body: a JSON object with one member for each field."""
    values = {
        key: value if isinstance(value, str | int | bool) else _text(value)
        for key, value in dataclasses.asdict(msg).items()
    }
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def decode(topic: str, body: bytes | str) -> object:
    """Return the message; unknown members are ignored, anything else wrong raises BadMessage."""
    cls = TOPICS.get(topic)
    if cls is None:
        raise BadMessage(f"unknown topic {topic!r}")
    try:
        members = json.loads(body)
    except ValueError as error:
        raise BadMessage(f"{topic}: not JSON") from error
    if not isinstance(members, dict):
        raise BadMessage(f"{topic}: not a JSON object")
    kinds = typing.get_type_hints(cls)
    try:
        return cls(
            **{key: _read(kinds[key], value) for key, value in members.items() if key in kinds}
        )
    except (TypeError, ValueError) as error:
        raise BadMessage(f"{topic}: {error}") from error


def _read(kind: type[Any], value: object) -> object:
    if kind is UUID:
        return UUID(str(value))
    if kind is datetime:
        return datetime.fromisoformat(str(value))
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value
