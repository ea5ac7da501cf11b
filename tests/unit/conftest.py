"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def leaves_no_child() -> Iterator[None]:
    """Check that a test leaves no process behind, also none that has ended."""
    before = _children()
    yield
    assert _children() == before


def _children() -> set[str]:
    """Return the process ids, see proc_pid_task_children(5)."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}
