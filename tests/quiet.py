"""A process that says nothing: what a step needs where no process runs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Quiet:
    """Stands where a step gets its Life."""

    def doing(self, what: str) -> None:
        """Say nothing."""

    def alive(self) -> None:
        """Tell nobody."""


@contextmanager
def working(step: Callable[[Any], object]) -> Iterator[None]:
    """Run a daemon's step again and again in a thread, as its loop does."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            step(Quiet())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
