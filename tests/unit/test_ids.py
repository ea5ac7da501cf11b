"""Recording ids: RFC 9562 version 7."""

from datetime import UTC, datetime

from common.ids import uuid7


def test_an_id_begins_with_its_time_and_is_of_version_7() -> None:
    now = datetime(2026, 11, 23, 14, 0, 0, 123_000, tzinfo=UTC)
    made = uuid7(now)
    assert made.int >> 80 == int(now.timestamp() * 1000)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


def test_ids_of_one_instant_differ() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert len({uuid7(now) for _ in range(10_000)}) == 10_000
