"""Waiting for a condition, which is what tests do instead of sleeping."""

import inspect
import threading
import time
from collections.abc import Callable


def until(
    condition: Callable[[], object],
    timeout: float = 30.0,
    *,
    doing: Callable[[], object] | None = None,
    pause: float = 0.02,
) -> None:
    """Return when `condition` is true; AssertionError with its source after `timeout` seconds.

    `doing` is called before each look: what must go on meanwhile. `pause` seconds are between two
    looks, for those that cost a slow machine much.
    """
    deadline = time.monotonic() + timeout
    never = threading.Event()
    while True:
        if doing is not None:
            doing()
        if condition():
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {_source(condition)}")
        never.wait(pause)


def _source(condition: Callable[[], object]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):
        return repr(condition)
