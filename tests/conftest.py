"""Fixtures: real servers for the session, a fresh database and virtual host for each test.

Everything lies under var/test, or in TMPDIR where that is set, in a directory of this run, and dies
with it.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common import db as database
from devtools.stack import Stack, run_directory

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("TMPDIR") or ROOT / "var") / "test"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The private servers: PostgreSQL runs, RabbitMQ starts when `broker` is asked for."""
    stack = Stack(run_directory(VAR), fsync=False)
    try:
        stack.postgres.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def broker(stack: Stack) -> Stack:
    """The same stack, with RabbitMQ running."""
    stack.rabbitmq.start()
    return stack


@pytest.fixture(scope="session")
def template(stack: Stack) -> str:
    """The name of the database, with all migrations applied, that each test gets a copy of."""
    with stack.postgres.connect() as server:
        server.execute("CREATE DATABASE migrated")
    with stack.postgres.connect("migrated") as connection:
        database.migrate(connection)
    return "migrated"


@pytest.fixture
def dsn(stack: Stack, template: str) -> Iterator[str]:
    """The connection string, without a user, of a fresh database with all migrations applied."""
    name = f"test_{uuid.uuid4().hex}"
    with stack.postgres.connect() as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield stack.postgres.dsn(name)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def db(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection to the test's database, as the owner of the schema."""
    with psycopg.connect(dsn, user="postgres", autocommit=True, options="-c TimeZone=UTC") as owner:
        yield owner


@pytest.fixture
def connect_as(dsn: str) -> Iterator[Callable[[str], psycopg.Connection[Any]]]:
    """Connect to the test's database as a process does: `connect_as("poller")`."""
    with ExitStack() as connections:

        def connect(process: str) -> psycopg.Connection[Any]:
            return connections.enter_context(database.connect(dsn, process))

        yield connect


@pytest.fixture
def broker_url(broker: Stack) -> Iterator[str]:
    """The AMQP URL of a fresh virtual host."""
    name = f"test-{uuid.uuid4().hex}"
    yield broker.rabbitmq.add_vhost(name)
    broker.rabbitmq.drop_vhost(name)
