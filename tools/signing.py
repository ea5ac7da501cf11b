"""What signs exports and evidence as this CallStash."""

from pathlib import Path

from common.db import Connection
from common.leaving import Signer
from common.queries import leaving
from tools import console


def signer(db: Connection, directory: Path | None) -> Signer:
    """Return it; its key is in `directory`, or else where systemd puts it. Raises ConfigError."""
    return Signer(console.credential(directory, "sign.key"), leaving.signing_key(db))
