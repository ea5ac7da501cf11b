"""The housekeeper: chores that keep the archive in order, each a bounded piece at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

from common import exports
from common.daemon import Life
from common.db import Connection
from common.errors import ConfigError
from common.messages import HousekeeperAnswer
from common.store import Store
from common.zone import zone
from daemons.housekeeper.books import Books, Tidy
from daemons.housekeeper.damage import Damages
from daemons.housekeeper.dead_letters import DeadLetters
from daemons.housekeeper.disks import Disks
from daemons.housekeeper.exports import Exports
from daemons.housekeeper.licences import Licences
from daemons.housekeeper.purge import Purge
from daemons.housekeeper.queries import licences
from daemons.housekeeper.retired_keys import RetiredKeys
from daemons.housekeeper.scrub import Scrub
from daemons.housekeeper.sweep import Sweep
from daemons.housekeeper.upgrades import Upgrades

Chore = Callable[[Life], bool]


@dataclass(frozen=True)
class Settings:
    """The housekeeper's part of callstash.toml."""

    database: str
    broker: str
    archive: Path
    exports: Path = exports.DIRECTORY
    database_directory: Path = Path("/var/lib/postgresql")
    backup_directory: Path = Path("/var/lib/callstash/backup")  # where a volume may be mounted
    timezone: str = ""  # IANA name of the zone in which purge_at is; empty: this machine's
    purge_at: str = "02:00"  # when what has expired is deleted, every day
    brake_percent: int = 20  # a deletion of more than this share of the archive is to be confirmed
    repair: Path = Path("/var/lib/callstash/backupd/repair")  # what backupd fetched back
    scrub_days: int = 30  # in which every stored file is read and checked once
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
        store, at, here = Store(settings.archive), _time(settings.purge_at), zone(settings.timezone)
        damages = Damages(db, store, licences.box(db), now, settings.repair)
        there = damages.is_there
        self._chores: tuple[Chore, ...] = (
            Licences(settings.licence_server, settings.licence_key, db, now).turn,
            DeadLetters(settings.broker, db).turn,
            Disks(
                settings.archive, settings.database_directory, settings.backup_directory, db, now,
                there,
            ).turn,
            Purge(db, store, now, at, here, settings.brake_percent, there).turn,
            RetiredKeys(db, now).turn,
            Books(db, now, at, here).turn,
            Tidy(db, now).turn,
            Sweep(db, damages, now).turn,
            Scrub(db, damages, now, settings.scrub_days).turn,
            damages.turn,
            Exports(db, store, settings.exports, now, there).turn,
            Upgrades(db, now, here).turn,
        )  # fmt: skip

    def on_answer(self, _message: HousekeeperAnswer) -> None:
        """Wake up: the step does the command."""

    def step(self, life: Life) -> bool:
        """Do what is due of each chore, and say whether there is more."""
        more = any([chore(life) for chore in self._chores])
        life.doing("waiting for the next chore")
        return more


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"[housekeeper] purge_at: '{text}' is no time, such as 02:00") from error
