"""Messages on the wire: old and new releases must understand each other."""

import json
from pathlib import Path

import pytest

from common import messages, topology
from common.errors import BadMessage

WIRE = Path(__file__).parent.parent / "wire"


@pytest.mark.parametrize("topic", sorted(messages.TOPICS))
def test_the_wire_example_of_a_topic_decodes_and_encodes_to_itself(topic: str) -> None:
    example = (WIRE / f"{topic}.json").read_text().strip()
    message = messages.decode(topic, example)
    assert messages.encode(message) == example
    assert type(message) is messages.TOPICS[topic]


def test_every_example_belongs_to_a_topic() -> None:
    assert {path.stem for path in WIRE.glob("*.json")} == set(messages.TOPICS)


def test_every_topic_has_a_consumer() -> None:
    consumed = {cls for classes in topology.CONSUMERS.values() for cls in classes}
    assert consumed == set(messages.TOPICS.values())


@pytest.mark.parametrize("topic", sorted(messages.TOPICS))
def test_the_class_is_named_after_its_topic(topic: str) -> None:
    words = topic.rsplit(".", 1)[0].replace(".", "_").split("_")
    assert messages.TOPICS[topic].__name__ == "".join(word.capitalize() for word in words)


def test_members_of_a_newer_release_are_ignored() -> None:
    message = messages.decode("poller.pbx_changed.v1", '{"pbx": 10, "mood": "sunny"}')
    assert message == messages.PollerPbxChanged(10)


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("poller.pbx_changed.v2", '{"pbx": 10}'),
        ("poller.pbx_changed.v1", "not JSON"),
        ("poller.pbx_changed.v1", b"\xff\xfe"),
        ("poller.pbx_changed.v1", "[10]"),
        ("poller.pbx_changed.v1", "{}"),
        ("poller.pbx_changed.v1", '{"pbx": "10"}'),
        ("poller.pbx_changed.v1", '{"pbx": true}'),
        ("poller.pbx_changed.v1", json.dumps({"pbx": None})),
    ],
)
def test_a_bad_message_is_refused(topic: str, body: str | bytes) -> None:
    with pytest.raises(BadMessage):
        messages.decode(topic, body)
