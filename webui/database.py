"""The web UI's connections to PostgreSQL: one for each thread, replaced when it is lost."""

import threading

import psycopg

from common import db
from common.db import Connection


class Database:
    """Gives each thread its own connection with the role of the web UI."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._open: set[Connection] = set()

    def connection(self) -> Connection:
        """Return a connection that answers. Raises psycopg.OperationalError."""
        kept: Connection | None = getattr(self._thread, "connection", None)
        if kept is not None:
            try:
                kept.execute("SELECT 1")
                return kept
            except psycopg.OperationalError:
                kept.close()
        fresh = db.connect(self._dsn, "web")
        self._thread.connection = fresh
        with self._lock:
            self._open -= {kept}
            self._open.add(fresh)
        return fresh

    def close(self) -> None:
        """Close the connections of all threads, when no request runs any more."""
        with self._lock:
            while self._open:
                self._open.pop().close()
