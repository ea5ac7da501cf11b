"""When a disk is full, from how its use has grown. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from statistics import mean

DAYS = 30  # of history
LEAST = 4  # days that are enough to say something
FARTHEST = 3650  # days ahead that are worth saying


def full_on(used: Sequence[tuple[date, int]], size: int) -> date | None:
    """Return the day on which a file system of `size` bytes is full; None: none is in sight.

    `used` are bytes in use by day, in order. The growth is the mean of the steps from day to day
    without the most extreme tenth of them: one big deletion or import does not sway it.
    """
    if not used:
        return None
    last, level = used[-1]
    recent = [(day, count) for day, count in used if (last - day).days < DAYS]
    if len(recent) < LEAST:
        return None
    steps = sorted(
        (after - before) / (day - earlier).days
        for (earlier, before), (day, after) in pairwise(recent)
    )
    cut = max(1, len(steps) // 10) if len(steps) > LEAST else 0
    growth = mean(steps[cut : len(steps) - cut])
    if growth <= 0:
        return None
    days = round((size - level) / growth, 6)
    return last + timedelta(days=max(0, int(days))) if days <= FARTHEST else None
