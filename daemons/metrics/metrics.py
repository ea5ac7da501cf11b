"""An HTTP server for one reader: Prometheus, on this machine.

It listens on loopback only, answers one request at a time and keeps nothing: each scrape connects,
reads the figures once, and goes. So an idle box pays nothing for it, and PostgreSQL may be away.
"""

import logging
import os
import signal
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import FrameType

import psycopg
import sdnotify

from common import db, figures
from daemons.metrics.exposition import exposition

log = logging.getLogger(__name__)

TYPE = "text/plain; version=0.0.4; charset=utf-8"
TICK = 1.0  # seconds: a stop is seen within it
PATIENCE = 5.0  # seconds that a client may keep the server waiting


@dataclass(frozen=True)
class Settings:
    """Its part of callstash.toml."""

    database: str
    broker: str
    port: int = 9758


class Server(HTTPServer):
    """Serves the metrics of a box; `is_up` is whether the last scrape found PostgreSQL."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(("127.0.0.1", settings.port), _Handler)
        self.timeout = TICK
        self.settings = settings
        self.is_up = True

    def scrape(self) -> bytes:
        """Return the metrics of now."""
        try:
            with db.connect(self.settings.database, "metrics") as connection:
                found = figures.read(connection, self.settings.broker)
        except psycopg.OperationalError as error:
            if self.is_up:
                log.warning("PostgreSQL does not answer: %s", " ".join(str(error).split()))
            self.is_up = False
            return exposition(None)
        self.is_up = True
        return exposition(found)

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a bug end the process; a client that goes away is none."""
        if not isinstance(sys.exc_info()[1], OSError):
            raise


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: Server
    server_version = "CallStash"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a scrape."""
        if self.path != "/metrics":
            self.send_error(404, "The metrics are at /metrics")
            return
        body = self.server.scrape()
        self.send_response(200)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep scrapes out of the log."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None

    def notify(state: str) -> None:
        if notifier is not None:
            notifier.notify(state)

    with Server(settings) as server:
        notify("READY=1\nSTATUS=serving metrics")
        log.info("started", extra={"port": server.server_port})
        while not stopping:
            server.handle_request()
            notify("WATCHDOG=1")
    notify("STOPPING=1")
    log.info("stopped")
