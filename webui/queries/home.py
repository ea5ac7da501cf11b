"""Figures of the first page."""

from dataclasses import dataclass
from datetime import datetime

from common.db import Connection
from common.queries.rows import rows

RUNS = 20


def upgrade(db: Connection) -> str | None:
    """Return the newer version that could be installed; None: none is known."""
    row = db.execute("SELECT candidate FROM upgrade").fetchone()
    return str(row[0]) if row and row[0] else None


@dataclass(frozen=True)
class UpgradeRun:
    """An upgrade that is over."""

    id: str
    asked_by: str
    before: str | None
    after: str | None
    started_at: datetime
    outcome: str
    text: str


def upgrade_runs(db: Connection) -> list[UpgradeRun]:
    """Return the last upgrades, the newest first."""
    query = (
        "SELECT id, asked_by, before_version AS before, after_version AS after, started_at,"
        " outcome::text, text FROM upgrade_run ORDER BY finished_at DESC LIMIT %s"
    )
    return rows(db, UpgradeRun, query, [RUNS])


def has_kit(db: Connection) -> bool:
    """Say whether somebody has shown the recovery kit of the present master key."""
    query = (
        "SELECT 1 FROM recovery_kit k JOIN sealing_key s ON s.public_key = k.public_key"
        " WHERE s.name = 'master'"
    )
    return bool(db.execute(query).fetchone())
