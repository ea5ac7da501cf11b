"""backupd: copies what is new to the target, every night and on request, and tries new targets."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from uuid import UUID

from common import backup, commands, keys, seal
from common.commands import Command
from common.daemon import Life
from common.db import Connection
from common.errors import CallStashError, ConfigError
from common.messages import BackupdAnswer
from common.store import Store
from common.zone import latest, zone
from daemons.backupd import check
from daemons.backupd.drill import Drill
from daemons.backupd.pace import Pace
from daemons.backupd.queries import daily, progress, recordings, runs
from daemons.backupd.repair import Repair
from daemons.backupd.run import Backup
from daemons.backupd.target import BackupFailed, Target, host_key, reached

log = logging.getLogger(__name__)

POSTGRESQL = Path("/usr/lib/postgresql")
DAILY, WEEKLY = timedelta(days=1), timedelta(days=7)
# What failed is tried again after these, and then not before the next night.
PAUSES = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4))
REPAIRED = 20  # damaged recordings that are fetched back at a time
INTERRUPTED = "It was interrupted."


@dataclass(frozen=True)
class Settings:
    """backupd's part of callstash.toml."""

    database: str
    broker: str
    archive: Path
    backup_directory: Path = Path("/var/lib/callstash/backup")  # where a volume may be mounted
    work: Path = Path("/var/lib/callstash/backupd")  # room for a copy of the database
    timezone: str = ""  # IANA name of the zone in which backup_at is; empty: this machine's
    backup_at: str = "01:00"  # when a backup begins, every day
    postgresql: Path | None = None  # PostgreSQL's own programs; empty: the newest that Debian has


@dataclass
class Job:
    """What runs: a backup with its row, or a restore drill."""

    run: int | None
    started: datetime
    work: Backup | Drill | Repair
    steps: Iterator[None]
    opened: ExitStack

    @property
    def is_busy(self) -> bool:
        """Is there more to do at once, rather than to wait for?"""
        is_resting = isinstance(self.work, Backup) and self.work.is_resting
        return self.work.children.running is None and not is_resting


class Backupd:
    """Handlers and steps of callstash-backupd."""

    def __init__(
        self,
        settings: Settings,
        db: Connection,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        prefix: Sequence[str] = (),
    ) -> None:
        self._prefix = prefix  # what a scratch PostgreSQL is started with
        self._programs = settings.postgresql or _newest(POSTGRESQL)
        self._settings = settings
        self._db = db
        self._now = now
        self._key = keys.load_credential("backup.key")
        self._ssh_key = keys.credential_file("backup_ssh")
        self._at = _time(settings.backup_at)
        self._zone = zone(settings.timezone)
        self._box = runs.box(db)
        self._running: Job | None = None
        settings.work.mkdir(parents=True, exist_ok=True)
        last = runs.last(db)
        if last and last.state == "running":  # we were killed
            runs.end(db, last.id, "failed", now(), error=INTERRUPTED)
        is_cut = last is not None and (last.state == "running" or last.error == INTERRUPTED)
        self._again = last.asked_by if last and is_cut else ""  # what is left is done now

    def close(self) -> None:
        """End what runs."""
        if self._running is not None:
            self._stop("failed", INTERRUPTED)

    def on_answer(self, _message: BackupdAnswer) -> None:
        """Wake up: the step does the command."""

    def step(self, life: Life) -> bool:
        """Do the commands that wait, begin a backup that is due, and go on with one that runs."""
        asked = ""
        for command in commands.waiting(self._db, "backupd"):
            life.doing("trying the backup target")
            if command.kind == backup.RUN:
                asked = command.asked_by
                said = "The backup runs." if self._saved() else "No backup target is set up."
                commands.answer(self._db, command.id, self._saved() is not None, said)
                continue
            try:
                said = _VERBS[command.kind](self, command)
            except CallStashError as error:
                commands.answer(self._db, command.id, False, str(error))
            else:
                commands.answer(self._db, command.id, True, said)
        if asked and (self._running is None or self._running.run is None):
            self._again = asked  # also where a drill is in the way
        if self._running is None and (by := self._again or self._due()):
            self._again = ""
            self._begin(by)
        elif self._running is None and self._is_unproven():
            self._begin_drill()
        elif self._running is None:
            self._begin_repair()
        if self._running is not None:
            self._go_on(life)
            return self._running is not None and self._running.is_busy
        if self._saved() is None:
            daily.forget_changes(self._db)
        life.doing("waiting for the next backup")
        return False

    def _saved(self) -> runs.Saved | None:
        return runs.target(self._db)

    def _due(self) -> str:
        saved = self._saved()
        if saved is None:
            return ""
        last = runs.last_start(self._db, saved.target)
        due = latest(self._now(), self._at, self._zone)
        if last is None or last < due:
            return "backupd"
        count, ended = runs.failures(self._db, saved.target, due)
        if ended is None or count > len(PAUSES):
            return ""  # the next night's
        return "backupd" if self._now() - ended >= PAUSES[count - 1] else ""

    def _begin(self, by: str) -> None:
        saved = self._saved()
        if saved is None:
            return
        run = runs.begin(self._db, by, saved.target, self._now())
        log.info("a backup begins", extra={"run": run})
        opened = ExitStack()
        try:
            at = opened.enter_context(reached(self._target(saved), self._ssh_key))
            if saved.kind == "volume":
                check.require_mount(self._settings.backup_directory)
        except CallStashError as error:
            opened.close()
            runs.end(self._db, run, "failed", self._now(), error=str(error))
            log.error("the backup failed: %s", error)
            return
        made = Backup(
            self._db, self._settings.database, Store(self._settings.archive), at, saved.target,
            self._settings.work, self._now, str(self._programs / "pg_dump"), self._pace(saved),
        )  # fmt: skip
        self._running = Job(run, self._now(), made, made.steps(self._box), opened)

    def _pace(self, saved: runs.Saved) -> Pace:
        window = (saved.quiet_from, saved.quiet_until)
        quiet = None if window[0] is None or window[1] is None else (window[0], window[1])
        return Pace(self._zone, saved.rate_kb, quiet)

    def _is_unproven(self) -> bool:
        """Is it time for a restore drill? A week after the last one, once there is a backup."""
        saved = self._saved()
        if saved is None or not runs.has_catalogue(self._db, saved.target):
            return False
        last = runs.last_drill(self._db, saved.target)
        return last is None or self._now() - last >= WEEKLY

    def _begin_drill(self) -> None:
        saved = self._saved()
        if saved is None:
            return
        log.info("a restore drill begins")
        opened, started = ExitStack(), self._now()
        try:
            at = opened.enter_context(reached(self._target(saved), self._ssh_key))
            if saved.kind == "volume":
                check.require_mount(self._settings.backup_directory)
        except CallStashError as error:
            opened.close()
            runs.drilled(self._db, saved.target, started, self._now(), "", 0, 0, str(error))
            return
        made = Drill(at, saved.target, self._settings.work, self._programs, self._prefix)
        opened.callback(made.close)
        self._running = Job(None, started, made, made.steps(self._box), opened)

    def _target(self, saved: runs.Saved) -> Target:
        if saved.kind == "volume":
            return Target(str(self._settings.backup_directory))
        password = None
        if saved.password_sealed is not None:
            bound = backup.context(saved.host, saved.port, saved.username, saved.host_key)
            password = seal.unseal(self._key, saved.password_sealed, bound).decode()
        return Target(saved.path, saved.host, saved.port, saved.username, saved.host_key, password)

    def _begin_repair(self) -> None:
        saved, now = self._saved(), self._now()
        if saved is None:
            return
        files = recordings.damaged(self._db, now - DAILY, REPAIRED)
        if not files:
            return
        recordings.sought(self._db, [one.damage for one in files], now)
        opened = ExitStack()
        try:
            at = opened.enter_context(reached(self._target(saved), self._ssh_key))
        except CallStashError as error:
            opened.close()
            log.warning("damaged recordings can't be fetched back: %s", error)
            return
        made = Repair(at, saved.target, self._settings.work / "repair", files)
        self._running = Job(None, now, made, made.steps(self._box), opened)

    def _go_on(self, life: Life) -> None:
        assert self._running is not None
        job = self._running
        try:
            next(job.steps)
        except StopIteration:
            self._stop("finished", None)
            return
        except (CallStashError, OSError) as error:
            self._stop("failed", str(error))
            return
        work = job.work
        words = f"backup: {work.phase}"
        life.doing(f"{words}, {work.done:,} of {work.total:,}" if work.total else words)
        if job.run is not None and (
            by := runs.advance(self._db, job.run, work.phase, work.done, work.total)
        ):
            self._stop("cancelled", f"{by} cancelled it.")

    def _stop(self, state: str, error: str | None) -> None:
        assert self._running is not None
        job, self._running = self._running, None
        job.work.children.stop()
        job.steps.close()  # type: ignore[attr-defined]
        job.opened.close()
        write = log.error if state == "failed" else log.info
        if isinstance(job.work, Repair):
            write("damaged recordings: %s of %s are in the backup%s", job.work.done,
                  len(job.work.files), f"; {error}" if error else "")  # fmt: skip
            return
        if isinstance(job.work, Drill):
            drill = job.work
            if error != INTERRUPTED:
                runs.drilled(
                    self._db, drill.target, job.started, self._now(), drill.catalogue,
                    drill.recordings, drill.sampled, error,
                )  # fmt: skip
                if error:  # the next backup mends what it can
                    progress.compare_again(self._db, drill.target)
            write("the restore drill is %s: %s", state, error or f"{drill.recordings:,} recordings")
            return
        assert job.run is not None
        job.work.forget()
        runs.end(
            self._db, job.run, state, self._now(), error=error, statistics=job.work.statistics,
            catalogue=job.work.catalogue if state == "finished" else None,
        )  # fmt: skip
        write("the backup is %s: %s", state, error or "all is copied", extra={"run": job.run})

    def show_key(self, command: Command) -> str:
        """Return the host key that a server shows now."""
        wanted = command.arguments
        return host_key(str(wanted["host"]), int(wanted["port"]))

    def try_target(self, command: Command) -> str:
        """Try a target that is about to be saved; return its identity."""
        wanted = command.arguments
        sealed = bytes.fromhex(wanted["password_sealed"]) if wanted["password_sealed"] else None
        saved = runs.Saved(
            wanted["kind"], wanted["host"], int(wanted["port"]), wanted["path"],
            wanted["username"], sealed, wanted["host_key"], UUID(int=0),
        )  # fmt: skip
        known = self._saved()
        if sealed is None and wanted["uses_password"] and known is not None:
            saved = runs.Saved(**{**vars(saved), "password_sealed": known.password_sealed})
        if saved.kind == "volume":
            directory = self._settings.backup_directory
            check.require_mount(directory)
            free, needed = shutil.disk_usage(directory).free, runs.stored_bytes(self._db)
            if known is None and free < needed:
                raise BackupFailed(
                    f"The volume is too small: the archive has {needed / 1e9:,.1f} GB, and"
                    f" {free / 1e9:,.1f} GB are free there."
                )
        with reached(self._target(saved), self._ssh_key) as at:
            return str(check.tried(at, self._box))


_VERBS: dict[str, Callable[[Backupd, Command], str]] = {
    backup.SHOW_KEY: Backupd.show_key,
    backup.TRY: Backupd.try_target,
}


def _newest(directory: Path) -> Path:
    """Return where the programs of the newest PostgreSQL are. Raises ConfigError."""
    found = [path for path in directory.glob("*/bin") if path.parent.name.isdigit()]
    if not found:
        raise ConfigError(f"there is no PostgreSQL in {directory}: set [backupd] postgresql")
    return max(found, key=lambda path: int(path.parent.name))


def _time(text: str) -> clock:
    try:
        return clock.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"[backupd] backup_at: '{text}' is no time, such as 01:00") from error
