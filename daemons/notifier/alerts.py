"""Alerts have a life: a condition is seen, gets worse, is over. Each look compares what is true now
with what is noted, and each change is noted once; a crash in between repeats nothing.

Mail follows from what is noted and what mail has told before, not from the moment of a change. So a
mail server that is set up later is told what is still true, and a storm becomes one mail.
"""

import logging
import socket
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from common import mail
from common.daemon import Life
from common.db import Connection
from daemons.notifier import compose
from daemons.notifier.conditions import Condition, conditions
from daemons.notifier.queries import alerts, facts, mails, webhooks
from daemons.notifier.queries.alerts import Alert

log = logging.getLogger(__name__)

LOOK = timedelta(seconds=15)
HOLD = timedelta(minutes=10)  # a condition that comes and goes is over after so long without it
COMES_BACK = ("poll_failure", "fetch_failure", "daemon_silent", "restarting", "mail_stuck")
REMIND = timedelta(days=1)
FEW = 3  # alerts that are told in a mail each,
WINDOW = timedelta(minutes=15)  # within so long; all others wait for one mail together
KEPT = timedelta(days=14)  # a mail is tried
OLD = timedelta(days=400)
NO_MAIL = ("mail_stuck", "mail_refused")  # mail can't say it
SWITCHES = {  # general_settings, and the kinds that it switches off
    "on_disk_low": ("disk_low", "disk_filling"),
    "on_poll_failure": ("poll_failure", "fetch_failure"),
}
DIGEST_DAY, DIGEST_AT = 0, time(8)  # Monday


class Alerts:
    """Compares, notes and tells."""

    def __init__(
        self, db: Connection, now: Callable[[], datetime], url: str, zone: ZoneInfo,
        certificate: Path | None,
    ) -> None:  # fmt: skip
        self._db = db
        self._now = now
        self._url = url
        self._zone = zone
        self._certificate = certificate
        self._started = now()
        self._looked: datetime | None = None
        self._tidied: datetime | None = None

    def turn(self, life: Life) -> bool:
        """Look, where it is time."""
        now = self._now()
        if self._looked is not None and timedelta(0) <= now - self._looked < LOOK:
            return False
        self._looked = now
        life.doing("looking whether anything needs a person")
        found = conditions(self._db, now, self._started, self._certificate)
        with self._db.transaction():
            self._note(found, now)
        settings = mails.settings(self._db)
        if settings.sender and settings.recipients and mails.server(self._db):
            with self._db.transaction():
                self._tell(settings, now)
                self._report(settings, now)
                if settings.on_digest:
                    self._digest(settings, now)
        if self._tidied is None or abs(now - self._tidied) > timedelta(hours=1):
            self._tidied = now
            alerts.forget(self._db, now - OLD)
            mails.forget(self._db, now - OLD)
            webhooks.forget(self._db, now - KEPT)
        return False

    def _note(self, found: list[Condition], now: datetime) -> None:
        coming = {(one.kind, one.subject): one for one in found}
        for alert in alerts.unended(self._db):
            as_now = coming.pop((alert.kind, alert.subject), None)
            if as_now is None:
                self._over(alert, now)
            elif as_now != _as(alert) or alert.quiet_since:
                is_worse = as_now.rank > alert.rank
                alerts.go_on(self._db, alert.id, as_now, now, is_worse=is_worse)
                if is_worse:
                    self._announce("worse", alert.id, as_now, now)
        for new in coming.values():
            self._announce("raised", alerts.begin(self._db, new, now), new, now)

    def _over(self, alert: Alert, now: datetime) -> None:
        if alert.kind in COMES_BACK:
            if alert.quiet_since is None:
                alerts.quiet(self._db, alert.id, now)
                return
            if now - alert.quiet_since < HOLD:
                return
        alerts.end(self._db, alert.id, now)
        self._announce("ended", alert.id, _as(alert), now)

    def _announce(self, event: str, alert: int, as_now: Condition, now: datetime) -> None:
        write = log.info if event == "ended" else log.critical if as_now.is_critical else log.error
        write("alert %s: %s", event, as_now.kind, extra={"alert": alert})
        webhooks.put(self._db, _body(event, alert, as_now, now, self._url), now)

    def _tell(self, settings: mails.Settings, now: datetime) -> None:
        """Put mails in line: one for each alert, or one for all where there are many."""
        switched_off = [
            kind
            for switch, kinds in SWITCHES.items()
            if not getattr(settings, switch)
            for kind in kinds
        ]
        news = alerts.untold(self._db, now, REMIND, [*NO_MAIL, *switched_off])
        recently = alerts.recently(self._db, now - WINDOW)
        if not news:
            return
        if len(news) <= FEW and recently < FEW:
            for alert in news:
                title, paragraphs = compose.alert(alert, _event(alert), self._url, self._zone)
                self._put(settings, "alert", title, paragraphs, now)
        elif recently < FEW:
            told = [(alert, _event(alert)) for alert in news]
            title, paragraphs = compose.alerts(told, self._url, self._zone)
            self._put(settings, "alert", title, paragraphs, now)
        else:
            return
        alerts.told(self._db, [alert.id for alert in news], now)

    def _report(self, settings: mails.Settings, now: datetime) -> None:
        for report in facts.reports(self._db):
            if settings.on_backup and now - report.finished_at < REMIND:
                title, paragraphs = compose.backup(report, self._url, self._zone)
                self._put(settings, "backup", title, paragraphs, now)
            facts.reported(self._db, report.id, now)

    def _digest(self, settings: mails.Settings, now: datetime) -> None:
        last = alerts.digest_at(self._db)
        if last is None:  # just switched on
            alerts.digested(self._db, now)
        elif last < _monday(now, self._zone):
            title, paragraphs = compose.digest(
                facts.week(self._db, now), facts.disks(self._db), self._url
            )
            self._put(settings, "digest", title, paragraphs, now)
            alerts.digested(self._db, now)

    def _put(
        self, settings: mails.Settings, kind: str, title: str, paragraphs: list[str], now: datetime
    ) -> None:
        for recipient in settings.recipients:
            mail.put(self._db, kind, recipient, title, paragraphs, now + KEPT)


def _as(alert: Alert) -> Condition:
    return Condition(
        alert.kind, alert.subject, alert.rank, alert.is_critical, alert.title, alert.body
    )


def _event(alert: Alert) -> str:
    if alert.ended_at is not None:
        return "ended"
    if alert.told_rank == 0:
        return "raised"
    return "worse" if alert.rank > alert.told_rank else "reminder"


def _body(event: str, alert: int, as_now: Condition, now: datetime, url: str) -> dict[str, object]:
    return {
        "event": event,
        "alert": alert,
        "box": socket.gethostname(),
        "kind": as_now.kind,
        "subject": as_now.subject,
        "level": "critical" if as_now.is_critical else "warning",
        "title": as_now.title,
        "text": as_now.body,
        "at": now.isoformat(timespec="seconds"),
        "url": url,
    }


def _monday(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the last instant at which the weekly mail was due."""
    local = now.astimezone(zone)
    day = local.date() - timedelta(days=(local.weekday() - DIGEST_DAY) % 7)
    due = datetime.combine(day, DIGEST_AT, tzinfo=zone).astimezone(now.tzinfo)
    return due if due <= now else due - timedelta(days=7)
