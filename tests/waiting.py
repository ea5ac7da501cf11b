"""Waiting for a condition, which is what tests do instead of sleeping."""

import inspect
import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Return when `condition` is true; AssertionError with its source after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {_source(condition)}")
        pause.wait(0.02)


def _source(condition: Callable[[], object]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):
        return repr(condition)
