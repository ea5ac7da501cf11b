"""The web UI's settings, and what all its requests share."""

import threading
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import current_app, g

from common import exports, support
from common.db import Connection
from common.playback import KeyRing
from common.store import Store
from webui.database import Database

EXPORTS = 2


@dataclass(frozen=True)
class Settings:
    """The web UI's part of callstash.toml."""

    database: str
    broker: str
    archive: Path
    exports: Path = exports.DIRECTORY
    timezone: str = ""  # IANA name of the zone in which times are shown; empty: this machine's
    session_idle_minutes: int = 30
    session_hours: int = 12
    support_directory: Path = support.DIRECTORY
    log_directory: Path | None = None  # where NAME.log are, without systemd's journal


@dataclass(frozen=True)
class Shared:
    """What all requests of one process share."""

    settings: Settings
    database: Database
    store: Store
    keys: KeyRing
    signing: bytes | None = None  # with it evidence is signed; None: there is none
    # how many exports are sent at a time: each holds a thread, for days perhaps
    sending: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(EXPORTS))

    @property
    def zone(self) -> tzinfo | None:
        """Return the zone in which times are shown; None is this machine's."""
        return ZoneInfo(self.settings.timezone) if self.settings.timezone else None

    def local(self, instant: datetime) -> datetime:
        """Return an instant in the zone in which times are shown."""
        return instant.astimezone(self.zone)


def shared() -> Shared:
    """Return what the running application shares."""
    found: Shared = current_app.extensions["callstash"]
    return found


def connection() -> Connection:
    """Return this request's connection, which answered when the request first asked for it."""
    if "connection" not in g:
        g.connection = shared().database.connection()
    kept: Connection = g.connection
    return kept
