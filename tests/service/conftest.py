"""Fixtures of the service tests."""

import base64
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from common import keys, seal
from simulators.mail.server import Mailbox, serving
from simulators.pbx import client
from tests.service.office import Office
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


@pytest.fixture
def office(
    db: psycopg.Connection[Any],
    connect_as: Callable[[str], psycopg.Connection[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Office]:
    private, public = seal.generate()
    (tmp_path / "mail.key").write_bytes(base64.b64encode(private))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('mail', %s)", [public])
    mailbox = Mailbox()
    with serving(mailbox) as port:
        db.execute("INSERT INTO mail_server (host, port, security, saved_by)"
                   " VALUES ('127.0.0.1', %s, 'plain', 'x')", [port])  # fmt: skip
        db.execute("UPDATE general_settings SET sender = 'box@example.com',"
                   " recipients = '{admin@example.com}'")  # fmt: skip
        yield Office(db, connect_as, mailbox)
