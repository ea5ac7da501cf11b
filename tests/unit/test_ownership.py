"""Whose an extension was when a call began, from the looks before and after it."""

from datetime import UTC, datetime, timedelta

import pytest

from daemons.poller.ownership import owner_at
from daemons.poller.queries.participants import Look

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ALICE, BOB = 1, 2


def at(hour: float) -> datetime:
    return NOON + timedelta(hours=hour)


LOOKS = [
    Look("200", at(0), at(10), ALICE),
    Look("200", at(11), at(20), BOB),
    Look("200", at(21), at(21), None),
    Look("200", at(22), at(30), ALICE),
]


@pytest.mark.parametrize(
    ("hour", "owner"),
    [
        (-500, ALICE),  # nobody looked before: whose it was then
        (0, ALICE),
        (5, ALICE),
        (10, ALICE),
        (10.5, None),  # it moved between two looks
        (11, BOB),
        (20, BOB),
        (20.5, None),
        (21, None),
        (21.5, None),
        (22, ALICE),
        (31, ALICE),  # a clock that runs ahead of ours
    ],
)
def test_a_call_is_whose_the_extension_was(hour: float, owner: int | None) -> None:
    assert owner_at(LOOKS, at(hour)) == owner


def test_what_was_never_seen_is_nobodys() -> None:
    assert owner_at([], NOON) is None
