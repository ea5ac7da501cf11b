"""Where a drill happens: a disk of its own, and servers that sync what they write."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.stack import Stack


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the archive, just large enough."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def synced(tmp_path: Path) -> Iterator[Stack]:
    """Servers of its own, which sync what they write and may be killed."""
    made = Stack(tmp_path / "stack", fsync=True)
    made.start()
    yield made
    made.stop()
