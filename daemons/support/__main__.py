"""`python -m daemons.support`: started by callstash-support.path while remote support is wanted.

It needs neither PostgreSQL nor RabbitMQ, for it is what is left when those are broken: the audit
log then is in the journal.
"""

import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from json import dumps
from pathlib import Path

import psycopg
import sdnotify

from common import __version__, config, db, journal, support
from common.errors import ConfigError
from common.queries import leaving
from daemons.support.support import Settings, Support

log = logging.getLogger(__name__)


def _audit(settings: Settings, action: str, detail: dict[str, object]) -> None:
    try:
        with db.connect(settings.database, "support") as connection:
            leaving.audit(connection, "support", action, "", dumps(detail))
    except psycopg.Error as error:
        said = {"action": action, "detail": dumps(detail), "error": str(error).strip()}
        log.error("not in the audit log", extra=said)


def _run(settings: Settings) -> None:
    if not settings.server:
        raise ConfigError("no support server is configured: see [support] in callstash.toml")
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory or not (key := Path(directory, "support_ssh")).exists():
        raise ConfigError("the key support_ssh is missing: run 'callstash support key'")
    stopping = threading.Event()  # only to wait for a signal: there is no thread
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stopping.set())
    notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
    ours = Support(settings, key, lambda: datetime.now(UTC), lambda *what: _audit(settings, *what))
    if notifier:
        notifier.notify("READY=1")
    try:
        while not stopping.is_set() and ours.step(stopping.wait):
            if notifier:
                notifier.notify(f"WATCHDOG=1\nSTATUS={ours.doing}")
    finally:
        ours.close()


def main() -> int:
    """Hold the tunnel until it is no longer wanted."""
    if "--version" in sys.argv[1:]:
        print(f"callstash-support {__version__}")
        return 0
    journal.setup()
    directory = support.DIRECTORY
    try:
        settings = config.load("support", Settings)
        directory = settings.directory
        _run(settings)
    except ConfigError as error:
        log.error("%s", error)
        support.disconnect(directory)  # nobody is there to fulfil it
        text = f"It can't be started: {error}."
        support.report(directory, support.Status("inactive", text), datetime.now(UTC))
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main())
