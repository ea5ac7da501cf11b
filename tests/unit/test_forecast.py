"""The day on which a disk is full."""

from datetime import date, timedelta

import pytest

from common.forecast import full_on

BEGUN = date(2026, 11, 1)
GB = 10**9


def days(*used: float) -> list[tuple[date, int]]:
    return [(BEGUN + timedelta(days=n), int(level * GB)) for n, level in enumerate(used)]


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([1, 2, 3, 4], 6),
        ([1.0 + n / 10 for n in range(30)], 61),
        ([5, 5, 5, 5], None),
        ([5, 4, 3, 2], None),
        ([1, 2, 3], None),
        ([], None),
        ([9, 10, 10.5, 11], 0),
        ([1 + n * 0.0001 for n in range(10)], None),
    ],
)
def test_it_follows_the_growth(used: list[float], expected: int | None) -> None:
    found = full_on(days(*used), 10 * GB)
    last = BEGUN + timedelta(days=len(used) - 1)
    assert found == (None if expected is None else last + timedelta(days=expected))


def test_one_big_deletion_or_import_does_not_sway_it() -> None:
    steady = [2 + n * 0.1 for n in range(20)]
    for step in (-1.5, 3.0):
        bent = [level + (step if n >= 12 else 0) for n, level in enumerate(steady)]
        found = full_on(days(*bent), 10 * GB)
        assert found is not None
        exact = (10 - bent[-1]) / 0.1
        assert 0.5 * exact < (found - BEGUN).days - 19 < 1.5 * exact


def test_what_happened_long_ago_does_not_count() -> None:
    old = [(BEGUN - timedelta(days=400 - n), n * GB) for n in range(50)]
    assert full_on([*old, *days(5, 5, 5, 5)], 10 * GB) is None


def test_days_without_a_sample_are_no_days_without_growth() -> None:
    gaps = [(BEGUN + timedelta(days=n), int(n * 0.1 * GB)) for n in (0, 5, 6, 20)]
    assert full_on(gaps, 4 * GB) == BEGUN + timedelta(days=40)
