"""The life and the loop of every daemon.

Pump the bus, do one bounded step of work, relay the outbox, and only then tell systemd that we are
well: a daemon that hangs anywhere in a turn is restarted. No threads; parallelism is instances.
"""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import psycopg
import sdnotify

from common import __version__, config, db, journal, outbox
from common.bus import Bus
from common.errors import ConfigError

log = logging.getLogger(__name__)

TICK = 1.0  # seconds a pump may wait: a stop is seen within it
LOOK = 5.0  # seconds after which a daemon looks for work without being told
STATUS = 10.0  # seconds between refreshes of daemon_status


class Settings(Protocol):
    """What the loop needs of a daemon's settings."""

    @property
    def database(self) -> str:
        """Connection string without a user."""

    @property
    def broker(self) -> str:
        """AMQP URL."""


S = TypeVar("S", bound=Settings)
Handlers = dict[type[Any], Callable[[Any], None]]


class Life:
    """What a step may ask and say about its process."""

    def __init__(self, name: str, process: str, database: str, connection: db.Connection) -> None:
        self.name = name
        self.stopping = False
        self._process = process
        self._database = database
        self._db = connection
        # sdnotify leaks a socket where nobody listens
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self._doing = "starting"
        self._written = ("", 0.0)
        self._bus: Bus | None = None

    def doing(self, what: str) -> None:
        """Say in words what the daemon does now; shown by systemctl status and the web UI."""
        if what != self._doing:
            self._doing = what
            self.notify(f"STATUS={what}")

    def notify(self, state: str) -> None:
        """Tell systemd something (sd_notify(3))."""
        if self._notifier is not None:
            self._notifier.notify(state)

    def alive(self) -> None:
        """Report real progress within a long step: after each chunk, never from a timer."""
        self.notify("WATCHDOG=1")
        if self._bus is not None:
            self._bus.keep_alive()
        if time.monotonic() - self._written[1] > STATUS:  # the step may be inside a transaction
            with db.connect(self._database, self._process, label=self.name) as other:
                self._write(other)

    def _turned(self) -> None:
        self.notify("WATCHDOG=1")
        what, when = self._written
        if what != self._doing or time.monotonic() - when > STATUS:
            self._write(self._db)

    def _write(self, connection: db.Connection) -> None:
        self._written = (self._doing, time.monotonic())
        connection.execute(
            "INSERT INTO daemon_status AS s (name, version, started_at, seen_at, doing, starts)"
            " VALUES (%(name)s, %(version)s, now(), now(), %(doing)s, ARRAY[now()])"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version, seen_at = now(),"
            " doing = excluded.doing,"
            " started_at = CASE WHEN %(first)s THEN now() ELSE s.started_at END,"
            " starts = CASE WHEN %(first)s THEN (now() || s.starts)[:10] ELSE s.starts END",
            {
                "name": self.name,
                "version": __version__,
                "doing": self._doing,
                "first": self._bus is None,
            },
        )


@dataclass(frozen=True)
class Started(Generic[S]):
    """A daemon that may begin: settings read, database connected, schema checked, seat taken."""

    process: str
    instance: int
    settings: S
    db: db.Connection
    life: Life


@contextmanager
def start(process: str, settings: type[S], *, instances: bool = False) -> Iterator[Started[S]]:
    """Prepare the daemon `process`; ends with status 78 when an operator must act first."""
    journal.setup(f"callstash-{process}")
    arguments = _arguments(process, instances)
    instance = arguments.instance if instances else 0
    name = f"{process}@{instance}" if instances else process
    try:
        values = config.load(process, settings)
        if arguments.check:
            log.info("the configuration is good")
            sys.exit(0)
        with db.connect(values.database, process, label=name, idle_seconds=1800) as connection:
            db.check_schema(connection)
            db.take_instance(connection, name)
            life = Life(name, process, values.database, connection)
            yield Started(process, instance, values, connection, life)
    except ConfigError as error:
        log.error("%s", error)
        sys.exit(78)
    except psycopg.OperationalError as error:  # whoever started us starts us again until it is back
        log.error("ending, because PostgreSQL says: %s", " ".join(str(error).split()))
        sys.exit(1)


def _arguments(process: str, instances: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"callstash-{process}")
    parser.add_argument("--version", action="version", version=f"callstash-{process} {__version__}")
    parser.add_argument("--check", action="store_true", help="read the configuration and stop")
    if instances:
        parser.add_argument("instance", type=int, choices=range(1, 65), metavar="INSTANCE")
    return parser.parse_args()


def run(
    started: Started[Any],
    handlers: Handlers,
    step: Callable[[Life], bool],
) -> None:
    """Run until SIGTERM or SIGINT. `step` does one bounded piece and says whether there is more."""
    life, connection = started.life, started.db

    def stop(_signal: int, _frame: FrameType | None) -> None:
        life.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    def handle(message_id: UUID, message: object) -> None:
        with connection.transaction():
            if outbox.first_time(connection, started.process, message_id):
                handlers[type(message)](message)

    life.doing("waiting for work")
    life._write(connection)
    bus = Bus(started.settings.broker, started.process, handle)
    life._bus = bus
    life.notify("READY=1")
    log.info("started", extra={"version": __version__})
    more, looked = True, 0.0
    while not life.stopping:
        told = bus.pump(0 if more else TICK)
        if (told or more or time.monotonic() - looked >= LOOK) and not life.stopping:
            looked = time.monotonic()
            more = step(life)
            more = outbox.relay(connection, bus) or more
        life._turned()
    life.notify("STOPPING=1")
    bus.close()
    log.info("stopped")
