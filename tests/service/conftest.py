"""Fixtures of the service tests."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from common import keys
from simulators.pbx import client
from tests.service.rig import Rig


@pytest.fixture
def sim() -> Iterator[client.Running]:
    """A PBX with a dozen short recordings in every codec, of this test alone."""
    running = client.start("--scenario", "small")
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
    rsa_keys: Iterator[rsa.RSAPrivateKey],
) -> Iterator[Rig]:
    """A poller and an archiver for that PBX."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(rsa, "generate_private_key", lambda **_: next(rsa_keys))
    made = Rig(tmp_path, db, dsn, connect_as, sim.url)
    yield made
    made.archiver.close()


@pytest.fixture(scope="session")
def rsa_keys() -> Iterator[rsa.RSAPrivateKey]:
    """Real key pairs over and over: making one takes up to seconds."""
    made = [rsa.generate_private_key(public_exponent=65537, key_size=keys.BITS) for _ in range(3)]
    return itertools.cycle(made)
