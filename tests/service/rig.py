"""A poller and an archiver in this process, on a real database and a real PBX simulator."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from common import archive, keys, seal
from common.daemon import Life
from common.store import Store
from daemons.archiver import archiver
from daemons.poller import poller
from simulators.pbx import client


class Rig:
    """One PBX (id 10), polled and archived step by step; its clock can be moved."""

    def __init__(
        self,
        directory: Path,
        db: psycopg.Connection[Any],
        dsn: str,
        connect_as: Callable[[str], psycopg.Connection[Any]],
        url: str,
    ) -> None:
        self.db = db
        self.root = directory / "companies"
        self.root.mkdir()
        self.offset = timedelta()
        self.master, master_public = seal.generate()
        private, public = seal.generate()
        self._public = public
        (directory / "pbx.key").write_bytes(base64.b64encode(private))
        for name, key in (("master", master_public), ("pbx", public)):
            db.execute("INSERT INTO sealing_key (name, public_key) VALUES (%s, %s)", [name, key])
        self.add_pbx(url)
        connections = {name: connect_as(name) for name in ("poller", "archiver")}
        self.poller = poller.Poller(
            poller.Settings(dsn, "", "Europe/London", settle_seconds=0),
            connections["poller"],
            self.now,
        )
        self.settings = archiver.Settings(dsn, "", self.root, reserve_mb=1, retry_seconds=60)
        self.archiver = archiver.Archiver(self.settings, connections["archiver"], 1, self.now)
        self.connect_as = connect_as
        self.lives = {name: Life(name, name, dsn, connections[name]) for name in connections}

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def add_pbx(self, url: str, token: str = client.KEY) -> None:
        uid = self.value("SELECT gen_random_uuid()")
        self.db.execute(
            "INSERT INTO pbx (uid, name, url, token_sealed, timezone, poll_minutes)"
            " VALUES (%s, 'Test', %s, %s, 'Europe/London', 30)",
            [uid, url, seal.seal(self._public, token.encode(), uid.bytes)],
        )

    def set_token(self, token: str) -> None:
        uid = self.value("SELECT uid FROM pbx WHERE id = 10")
        sealed = seal.seal(self._public, token.encode(), uid.bytes)
        self.db.execute("UPDATE pbx SET token_sealed = %s WHERE id = 10", [sealed])

    def poll(self, trigger: bool = True) -> None:
        """List everything that there is to list."""
        if trigger:
            self.db.execute("UPDATE poll_schedule SET requested_at = now()")
        while self.poller.step(self.lives["poller"]):
            pass

    def fetch(self) -> None:
        """Fetch everything that is due."""
        while self.archiver.step(self.lives["archiver"]):
            pass

    def finish(self) -> None:
        """List, fetch, and let the poll end."""
        self.poll()
        self.fetch()
        self.poll(trigger=False)

    def value(self, query: str, *arguments: object) -> Any:
        row = self.db.execute(query, arguments).fetchone()
        return row[0] if row else None

    def rows(self, query: str, *arguments: object) -> list[Any]:
        return self.db.execute(query, arguments).fetchall()

    def files(self) -> list[Path]:
        lock = self.root / ".incoming" / "lock"
        return sorted(path for path in self.root.rglob("*") if path.is_file() and path != lock)

    def plaintext(self, remote_id: str) -> bytes:
        """Return what a stored recording decrypts to, with the master key."""
        row = self.db.execute(
            "SELECT r.id, r.started_at, c.id, c.uid, a.generation, a.ecek, a.file_sha256,"
            " k.private_sealed, k.kid, k.version FROM recording r"
            " JOIN recording_audio a ON a.recording_id = r.id JOIN company c ON c.id = r.company_id"
            " JOIN company_key k ON k.company_id = c.id AND k.version = a.key_version"
            " WHERE r.remote_id = %s",
            [remote_id],
        ).fetchone()
        assert row is not None, f"{remote_id} is not stored"
        recording, started, company, uid, generation, ecek, digest, sealed, kid, version = row
        private = keys.open_company_key(self.master, sealed, uid, kid, version)
        path = Store(self.root).path(company, started, recording, generation)
        assert hashlib.sha256(path.read_bytes()).digest() == digest
        with path.open("rb") as file:
            reader = archive.Reader(
                file, keys.unwrap(private, ecek), recording=recording, company=uid
            )
            return b"".join(reader.read_range(0, reader.size))
