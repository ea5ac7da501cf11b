"""Figures of the first page."""

from common.db import Connection


def upgrade(db: Connection) -> str | None:
    """Return the newer version that could be installed; None: none is known."""
    row = db.execute("SELECT candidate FROM upgrade").fetchone()
    return str(row[0]) if row and row[0] else None


def has_kit(db: Connection) -> bool:
    """Say whether somebody has shown the recovery kit of the present master key."""
    query = (
        "SELECT 1 FROM recovery_kit k JOIN sealing_key s ON s.public_key = k.public_key"
        " WHERE s.name = 'master'"
    )
    return bool(db.execute(query).fetchone())
