"""The poller: asks each PBX in its time what there is, and notes what has to be fetched.

A poll lists one company in each step. A company's window moves only when all of it was listed, so
whatever was missed - a poll, a company, a row - is in the window of the next one.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from common import commands, keys, outbox, pbx, seal
from common.daemon import Life
from common.db import Connection
from common.errors import PbxError, TryLater, Unreachable, WrongToken
from common.ids import uuid7
from common.messages import PollerAnswer, PollerPbxChanged, PollerPollNow, RecordingsListed
from common.zone import zone
from daemons.poller import ownership, schedule
from daemons.poller.queries import listings, polls

log = logging.getLogger(__name__)

CHUNK = 2000  # rows inserted at a time
WORTH, WAKE = 16, 8  # so many new recordings are worth waking an archiver, and so many of those
STALLED = timedelta(minutes=10)  # without a download, a poll ends and counts the rest as failed
SUSPENDED = timedelta(minutes=1)  # the same, while nothing more is fetched from its PBX


@dataclass(frozen=True)
class Settings:
    """The poller's part of callstash.toml."""

    database: str
    broker: str
    timezone: str = ""  # IANA name of the zone in which daily polls are set; empty: this machine's
    settle_seconds: int = 120  # a call that ended less long ago may still be written to


class Poller:
    """Handlers and steps of callstash-poller."""

    def __init__(
        self,
        settings: Settings,
        db: Connection,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._db = db
        self._now = now
        self._token_key = keys.load_credential("pbx.key")
        self._zone = zone(settings.timezone)

    def on_poll_now(self, message: PollerPollNow) -> None:
        """Poll as soon as the running poll of that PBX ends."""
        polls.request(self._db, message.pbx)
        log.info("a poll was asked for", extra={"pbx": message.pbx, "by": message.by})

    def on_pbx_changed(self, message: PollerPbxChanged) -> None:
        """Make the schedule follow the settings of a PBX."""
        changed = polls.pbx(self._db, message.pbx)
        if message.pbx in polls.scheduled(self._db):
            when = self._following(changed)
            failures = polls.failures(self._db, changed.id)
            if failures:  # perhaps the change is what it needed
                when = schedule.retry(self._now(), when, 1)
            polls.reschedule(self._db, changed.id, when, failures)
        else:
            self._schedule_first(changed)

    def on_answer(self, _message: PollerAnswer) -> None:
        """Wake up: the step does the command."""

    def step(self, life: Life) -> bool:
        """Do a command, list one company, begin a poll, or end those whose recordings are
        settled.
        """
        if asked := commands.waiting(self._db, "poller"):
            life.doing("reading the companies of a PBX")
            self._refresh(asked[0])
            return True
        known = polls.scheduled(self._db)
        for new in polls.active_pbxs(self._db):
            if new.id not in known:
                self._schedule_first(new)
        running = polls.running(self._db)
        for poll in running:
            if poll.state == "listing":
                life.doing(f"polling PBX {poll.pbx_id}: listing")
                self._list_one(poll, life)
                return True
        if due := polls.due(self._db, self._now()):
            life.doing(f"polling PBX {due.pbx_id}: reading its companies")
            self._begin(due)
            return True
        if any([self._settle(poll) for poll in running]):
            return True  # another poll may have waited for one of them to end
        ids = ", ".join(str(poll.pbx_id) for poll in running)
        life.doing(
            f"polling PBX {ids}: the archivers fetch" if ids else "waiting for the next poll"
        )
        return False

    def _schedule_first(self, new: polls.Pbx) -> None:
        when = schedule.first(self._now(), new.poll_minutes, new.poll_at, self._zone)
        polls.schedule(self._db, new.id, when)
        log.info(
            "the first poll is due at %s", when.isoformat(timespec="minutes"), extra={"pbx": new.id}
        )

    def _following(self, polled: polls.Pbx) -> datetime:
        return schedule.following(self._now(), polled.poll_minutes, polled.poll_at, self._zone)

    def _connect(self, polled: polls.Pbx) -> pbx.Connector:
        token = seal.unseal(self._token_key, polled.token_sealed, polled.uid.bytes).decode()
        return pbx.connect(
            polled.kind,
            polled.url,
            token=token,
            certificate=polled.certificate,
            timezone=polled.timezone,
        )

    def _begin(self, due: polls.Due) -> None:
        polled = polls.pbx(self._db, due.pbx_id)
        extra: dict[str, object] = {"pbx": polled.id}
        try:
            with self._connect(polled) as connector:
                companies = connector.list_companies()
        except PbxError as error:
            with self._db.transaction():
                poll = polls.begin(self._db, polled.id, due.trigger)
                self._fail(polled, poll, due.failures, error)
            return
        with self._db.transaction():
            poll = polls.begin(self._db, polled.id, due.trigger)
            names = [company.name for company in companies]
            noted = listings.note_companies(
                self._db, polled.id, names, [company.label for company in companies]
            )
            listings.poll_companies(self._db, poll, polled.id, names, noted)
            polls.schedule(self._db, polled.id, self._following(polled), due.failures)
        extra |= {"poll": poll, "companies": len(companies)}
        extra |= {"first_seen": len(noted.new), "reactivated": len(noted.back)}
        log.info("poll started", extra=extra)

    def _refresh(self, command: commands.Command) -> None:
        """Read the companies of a PBX between polls."""
        polled = polls.pbx(self._db, int(command.arguments["pbx"]))
        try:
            with self._connect(polled) as connector:
                companies = connector.list_companies()
        except PbxError as error:
            text = f"The list of companies could not be read. {error}."
            commands.answer(self._db, command.id, False, text)
            return
        with self._db.transaction():
            noted = listings.note_companies(
                self._db, polled.id, [c.name for c in companies], [c.label for c in companies]
            )
            text = (
                f"The list was read: {len(noted.new)} new, {noted.gone} gone and now suspended,"
                f" {len(noted.back)} back."
            )
            commands.answer(self._db, command.id, True, text)
        log.info("companies read", extra={"pbx": polled.id, "companies": len(companies)})

    def _fail(self, polled: polls.Pbx, poll: int, failures: int, error: PbxError) -> None:
        following = self._following(polled)
        again = schedule.retry(self._now(), following, failures + 1)
        polls.fail(self._db, poll, str(error))
        polls.schedule(self._db, polled.id, again, failures + 1)
        log.error(
            "poll failed, the next one is at %s: %s",
            again.isoformat(timespec="minutes"),
            error,
            extra={"pbx": polled.id, "poll": poll},
        )

    def _list_one(self, poll: polls.Poll, life: Life) -> None:
        company = listings.unlisted(self._db, poll.id)
        if company is None:
            polls.fetching(self._db, poll.id)
            return
        if not company.has_key:
            with self._db.transaction():
                master = listings.master_key(self._db)
                listings.add_key(
                    self._db, company.id, keys.generate_company_key(company.uid, 1, master)
                )
            log.info("key pair made", extra={"pbx": poll.pbx_id, "company": company.id})
        polled = polls.pbx(self._db, poll.pbx_id)
        try:
            self._list(polled, poll, company, life)
        except (Unreachable, WrongToken, TryLater) as error:  # the other companies would fail alike
            with self._db.transaction():
                failures = polls.failures(self._db, polled.id)
                self._fail(polled, poll.id, failures, error)
        except PbxError as error:
            listings.company_failed(self._db, poll.id, company.id, str(error))
            log.error(
                "a company could not be listed: %s",
                error,
                extra={"pbx": polled.id, "company": company.id, "poll": poll.id},
            )

    def _list(
        self, polled: polls.Pbx, poll: polls.Poll, company: listings.Company, life: Life
    ) -> None:
        until = self._now()
        since, complete = schedule.window(until, company.listed_until, company.complete_at)
        listed = new = 0
        days: Counter[date] = Counter()
        with self._connect(polled) as connector:
            owned = ownership.Ownership(
                self._db, connector, polled.id, (company.id, company.name), until
            )
            listing = connector.list_recordings(company.name, since, until)
            for rows in _chunks(listing):
                taken = owned.of([
                    ownership.Call(row.started_at, row.caller, row.callee) for row in rows
                ])  # fmt: skip
                with self._db.transaction():
                    new += listings.list_recordings(
                        self._db,
                        poll.id,
                        polled.id,
                        company.id,
                        rows,
                        [uuid7(until) for _ in rows],
                        taken,
                        self._settings.settle_seconds,
                    )
                listed += len(rows)
                apart = {row.remote_id: row.started_at for row in rows}
                days.update(start.astimezone(UTC).date() for start in apart.values())
                life.alive()
            while owned.catch_up():
                life.alive()
        error = None
        if listing.refused:
            error = f"{len(listing.refused)} rows can't be used, such as: {listing.refused[0]}"
        with self._db.transaction():
            listings.company_listed(self._db, poll.id, company.id, listed, new, error)
            if complete:
                listings.count_days(self._db, company.id, days)
                listings.count_refused(self._db, company.id, until.date(), len(listing.refused))
            if complete or not listing.refused:
                listings.company_listed_until(self._db, company.id, until, complete)
            for _ in range(min(WAKE, math.ceil(new / WORTH))):  # each message wakes one archiver
                outbox.send(self._db, RecordingsListed(polled.id, company.id, poll.id, new))
        extra = {
            "pbx": polled.id,
            "company": company.id,
            "poll": poll.id,
            "polled": listed,
            "new": new,
        }
        if error:
            log.error("company listed, but %s", error, extra=extra)
        else:
            log.info("company listed", extra=extra)
        if listing.zone_mismatch:
            log.warning(
                "the PBX keeps another time than %s", polled.timezone, extra={"pbx": polled.id}
            )

    def _settle(self, poll: polls.Poll) -> bool:
        """End a poll whose recordings are all stored or tried, or that has stalled."""
        last = polls.last_progress(self._db, poll.id) or poll.listed_at or poll.started_at
        patience = STALLED if polls.is_active(self._db, poll.pbx_id) else SUSPENDED
        if polls.untried(self._db, poll.id) and self._now() - last < patience:
            return False
        with self._db.transaction():
            unlisted = polls.errors(self._db, poll.id)
            error = polls.why_waiting(self._db, poll.id)
            if unlisted:
                error = f"{unlisted} companies could not be listed"
            failed = polls.finish(self._db, poll.id, error)
            if unlisted:
                polled = polls.pbx(self._db, poll.pbx_id)
                failures = polls.failures(self._db, poll.pbx_id) + 1
                again = schedule.retry(self._now(), self._following(polled), failures)
                polls.reschedule(self._db, poll.pbx_id, again, failures)
            else:
                polls.succeeded(self._db, poll.pbx_id)
        extra = {"pbx": poll.pbx_id, "poll": poll.id, "failed": failed}
        if error:
            log.error("poll finished, but %s", error, extra=extra)
        else:
            log.info("poll finished", extra=extra)
        return True


def _chunks(rows: Iterator[pbx.RemoteRecording]) -> Iterator[list[pbx.RemoteRecording]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
