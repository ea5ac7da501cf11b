"""The housekeeper: chores that keep the archive in order, each a bounded piece at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.daemon import Life
from common.db import Connection
from common.messages import HousekeeperAnswer
from daemons.housekeeper.dead_letters import DeadLetters
from daemons.housekeeper.disks import Disks
from daemons.housekeeper.licences import Licences

Chore = Callable[[Life], bool]


@dataclass(frozen=True)
class Settings:
    """The housekeeper's part of callstash.toml."""

    database: str
    broker: str
    archive: Path
    database_directory: Path = Path("/var/lib/postgresql")
    backup_directory: Path = Path("/var/lib/callstash/backup")  # where a volume may be mounted
    licence_server: str = ""  # URL of the vendor's licence server
    licence_key: str = ""  # the vendor's public key: 32 bytes in base64


class Housekeeper:
    """Handlers and steps of callstash-housekeeper."""

    def __init__(
        self,
        settings: Settings,
        db: Connection,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._db = db
        self._now = now
        self._chores: tuple[Chore, ...] = (
            Licences(settings.licence_server, settings.licence_key, db, now).turn,
            DeadLetters(settings.broker, db).turn,
            Disks(
                settings.archive, settings.database_directory, settings.backup_directory, db, now
            ).turn,
        )

    def on_answer(self, _message: HousekeeperAnswer) -> None:
        """Wake up: the step does the command."""

    def step(self, life: Life) -> bool:
        """Do what is due of each chore, and say whether there is more."""
        more = any([chore(life) for chore in self._chores])
        life.doing("waiting for the next chore")
        return more
