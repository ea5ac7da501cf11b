"""What happens in an archive, in words: lines for what changed, one status line for how it goes."""

import sys
import time
from collections import deque
from datetime import datetime
from typing import Any

import psycopg

WINDOW = 5.0  # seconds over which the rate is taken
QUIET = 10.0  # seconds between status lines where they can't replace each other

POLL = """
SELECT p.id, p.trigger, p.state, p.error, f.companies, f.polled, f.new, f.failed, t.stored,
       extract(epoch FROM coalesce(p.finished_at, now()) - p.started_at)
  FROM poll p,
       LATERAL (SELECT count(*) AS companies, coalesce(sum(polled), 0) AS polled,
                       coalesce(sum(new), 0) AS new, coalesce(sum(failed), 0) AS failed
                  FROM poll_company WHERE poll_id = p.id) f,
       LATERAL (SELECT coalesce(sum(stored), 0) AS stored FROM poll_tally WHERE poll_id = p.id) t
 ORDER BY p.id DESC LIMIT 1
"""
ARCHIVED = (
    "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM company_usage"
)
TROUBLES = """
SELECT 'a poll of ' || c.label || ' failed: ' || f.error
  FROM poll_company f JOIN company c ON c.id = f.company_id
 WHERE f.error IS NOT NULL AND f.poll_id = (SELECT max(id) FROM poll)
UNION ALL
SELECT 'no recordings can be fetched: ' || error FROM pbx_contact WHERE error IS NOT NULL
UNION ALL
SELECT 'recordings wait (' || replace(waiting::text, '_', ' ') || '): ' || max(last_error)
  FROM recording WHERE waiting IS NOT NULL AND next_try_at IS NOT NULL GROUP BY waiting
"""
TRIGGERS = {
    "first": "the first one",
    "schedule": "as scheduled",
    "request": "asked for",
    "retry": "again after a failure",
}


class Watch:
    """Looks at the database once a second and tells a person what there is to tell."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db
        self._told: set[str] = set()
        self._poll: tuple[int, str] = (0, "")
        self._counts: deque[tuple[float, int]] = deque()
        self._status = ("", 0.0)
        self._live = sys.stdout.isatty()
        self.archived = 0

    def say(self, sentence: str) -> None:
        """Print a line with the time of day."""
        self.line(f"{datetime.now().astimezone():%H:%M:%S} {sentence}")

    def line(self, text: str) -> None:
        """Print a line in the place of the status line."""
        print(f"\r\x1b[K{text}" if self._live else text, flush=True)

    def look(self) -> None:
        """Tell what changed since the last look."""
        calls, size = self.db.execute(ARCHIVED).fetchone() or (0, 0)
        self.archived = int(calls)
        rate = self._rate(self.archived)
        poll = self.db.execute(POLL).fetchone()
        doing = self._doing(*poll) if poll else "waiting for the first poll"
        for (trouble,) in self.db.execute(TROUBLES).fetchall():
            if trouble not in self._told:
                self._told.add(trouble)
                self.say(trouble)
        speed = f", {rate:.1f} a second" if rate else ""
        self._show(f"{doing}; {calls} recordings archived, {size / 1e6:.1f} MB{speed}")

    def _doing(
        self, number: int, trigger: str, state: str, error: str | None, companies: int,
        polled: int, new: int, failed: int, stored: int, seconds: float,
    ) -> str:  # fmt: skip
        if self._poll[0] != number:
            self.say(f"poll {number} starts, {TRIGGERS[trigger]}")
        if self._poll != (number, state):
            if state == "fetching":
                self.say(
                    f"poll {number}: {companies} companies list {polled} recordings, {new} new"
                )
            elif state == "finished":
                missed = f", {failed} could not be fetched yet" if failed else ""
                self.say(f"poll {number} is finished after {seconds:.0f} s: {new} new{missed}")
            elif state == "failed":
                self.say(f"poll {number} failed: {error}")
        self._poll = (number, state)
        if state == "listing":
            return f"poll {number}: asking the PBX what it has"
        return f"poll {number}: {stored} of {new} fetched" if state == "fetching" else "at rest"

    def _rate(self, count: int) -> float:
        now = time.monotonic()
        self._counts.append((now, count))
        while now - self._counts[0][0] > WINDOW:
            self._counts.popleft()
        began, before = self._counts[0]
        return (count - before) / (now - began) if now > began else 0.0

    def _show(self, status: str) -> None:
        last, when = self._status
        if self._live:
            print(f"\r\x1b[K{status}", end="", flush=True)
        elif status != last and time.monotonic() - when >= QUIET:
            self.say(status)
        else:
            return
        self._status = (status, time.monotonic())
