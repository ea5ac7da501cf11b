"""Deletes what has expired, and companies that an administrator wants gone; nothing else ever does.

Each batch is decided and done in one transaction, in which neither a legal hold nor a longer limit
can be added unseen: rows, keys and what is known of the calls go, a tombstone and the names of the
files stay. The files go after the commit. Killed in between, the next run goes on.
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, time
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

from common import commands, expiry, files
from common.daemon import Life
from common.db import Connection
from common.store import Fence, Store
from common.zone import latest
from daemons.housekeeper.queries import purges
from daemons.housekeeper.queries.purges import Company, Run

log = logging.getLogger(__name__)

BATCH = 500  # recordings in a transaction, and files between two fsyncs
COMMAND = "purge.run"
SMALL = 100  # so many calls may always be deleted: the share of a small archive says little


class Purge:
    """The nightly deletion: at its time, at once if the machine was off then, and on request."""

    def __init__(
        self, db: Connection, store: Store, now: Callable[[], datetime], at: time, zone: ZoneInfo,
        brake_percent: int, is_there: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self._db = db
        self._store = store
        self._fence = Fence(store.root)
        self._now = now
        self._at = at
        self._zone = zone
        self._brake = brake_percent
        self._is_there = is_there  # the archive, without which no file can be removed
        self._left: list[int] | None = None  # companies of the running deletion
        self._after: tuple[datetime, UUID] | None = None

    def turn(self, life: Life) -> bool:
        """Delete a batch, begin, or remove files; say whether there is more to do."""
        asked = [c for c in commands.waiting(self._db, "housekeeper") if c.kind == COMMAND]
        run = purges.running(self._db)
        if run is None and (asked or self._is_due()):
            life.doing("looking for what has expired")
            said = self._begin(asked[0].asked_by if asked else "housekeeper")
            for command in asked:
                commands.answer(self._db, command.id, True, said)
            return True
        for command in asked:
            commands.answer(self._db, command.id, True, "Housekeeping is running already.")
        if run is None:
            return self._remove_files(life)
        life.doing("deleting what has expired")
        self._delete(run)
        return True

    def _is_due(self) -> bool:
        now, last = self._now(), purges.last_start(self._db)
        return last is not None and last < latest(now, self._at, self._zone)

    def _begin(self, asked_by: str) -> str:
        now, calls, size, held = self._now(), 0, 0, 0
        for company in purges.companies(self._db):
            if company.is_deleted:
                plan = purges.plan_company(self._db, company.id)
                calls, size, held = calls + plan.calls, size + plan.bytes, held + plan.held
                continue
            for found in expiry.preview(self._db, now, {company.id: company.months}):
                calls, held = calls + found.deleted, held + found.held_calls
                size += found.bytes - found.held_bytes
        archive = purges.archived(self._db)
        too_much = calls > SMALL and calls * 100 > archive * self._brake
        with self._db.transaction():
            is_braked = too_much and not purges.use_permit(self._db, now, calls)
            purges.begin(self._db, asked_by, now, archive, calls, size, held, is_braked=is_braked)
        self._left, self._after = None, None
        if is_braked:
            log.error(
                "nothing is deleted: %s of %s recordings would be, which an administrator has to"
                " confirm", calls, archive,
            )  # fmt: skip
            return f"{calls:,} of {archive:,} recordings would be deleted. Confirm that first."
        log.info("housekeeping begins", extra={"calls": calls, "bytes": size, "held": held})
        return f"Housekeeping deletes {calls:,} recordings." if calls else "Nothing has expired."

    def _delete(self, run: Run) -> None:
        if self._left is None:
            self._left = [company.id for company in purges.companies(self._db)]
        if not self._left:
            self._end(run)
            return
        try:
            with self._db.transaction():
                expiry.one_at_a_time(self._db)
                company = purges.company(self._db, self._left[0])
                done = company is None or not self._batch(run, company)
        finally:
            self._fence.release()
        if done:
            self._left.pop(0)
            self._after = None

    def _batch(self, run: Run, company: Company) -> bool:
        """Delete some recordings of a company; false where there are no more."""
        if company.is_deleted:
            due = purges.of_company(self._db, company.id, self._after, BATCH)
        else:
            due = expiry.due(
                self._db, run.started_at, company.id, company.months, self._after, BATCH
            )
        if not due:
            self._end_company(run, company)
            return False
        self._after = due[-1].started_at, due[-1].id
        locked = purges.lock(self._db, [one.id for one in due])
        doomed = [one for one in locked if self._fence.take(one.id)]
        names = [
            self._store.name(company.id, one.started_at, one.id, one.generation)
            for one in doomed
            if one.generation is not None
        ]
        reason = "company" if company.is_deleted else "retention"
        old = self._files()
        with self._db.pipeline():  # the database deletes these rows while we remove older files
            purges.delete(self._db, run.id, company, reason, doomed, names)
            self._remove(old)
        return True

    def _end_company(self, run: Run, company: Company) -> None:
        gone = purges.end_company(self._db, run.id, company.id) if company.is_deleted else None
        if gone is not None:
            detail = json.dumps({"purge": run.id, "asked_by": company.asked_by, **gone})
            purges.note(self._db, "company.deleted", f"company:{company.id}", detail)
            log.info("a company is deleted with its keys", extra={"company": company.id})

    def _end(self, run: Run) -> None:
        with self._db.transaction():
            calls, size = purges.end(self._db, run.id, self._now())
            if calls:
                detail = {"calls": calls, "bytes": size, "asked_by": run.asked_by}
                purges.note(self._db, "purge.finished", f"purge:{run.id}", json.dumps(detail))
        self._left = None
        log.info("housekeeping is finished", extra={"calls": calls, "bytes": size})

    def _remove_files(self, life: Life) -> bool:
        with self._db.transaction():
            old = self._files()
            if old:
                life.doing("removing files of deleted recordings")
                self._remove(old)
        return bool(old)

    def _files(self) -> list[str]:
        return purges.files(self._db, BATCH) if self._is_there() else []

    def _remove(self, names: list[str]) -> None:
        for directory, group in groupby(names, key=lambda name: name.rpartition("/")[0]):
            with suppress(FileNotFoundError), files.directory(self._store.root / directory) as at:
                for name in group:
                    with suppress(FileNotFoundError):
                        os.unlink(name.rpartition("/")[2], dir_fd=at)  # noqa: PTH108
                os.fsync(at)
        purges.removed(self._db, names)
