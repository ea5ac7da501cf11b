"""Fixtures of the service tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from simulators.pbx import client
from tests.service.rig import MEDIA, Rig


@pytest.fixture
def sim() -> Iterator[client.Running]:
    """A PBX with a dozen short recordings in every codec, of this test alone."""
    running = client.start(MEDIA, "--scenario", "small")
    yield running
    running.stop()


@pytest.fixture
def rig(
    tmp_path: Path,
    db: psycopg.Connection[Any],
    dsn: str,
    connect_as: Callable[[str], psycopg.Connection[Any]],
    sim: client.Running,
    monkeypatch: pytest.MonkeyPatch,
) -> Rig:
    """A poller and an archiver for that PBX."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return Rig(tmp_path, db, dsn, connect_as, sim.url)
