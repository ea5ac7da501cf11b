"""What is true now of the whole box, for all who tell somebody: web UI, notifier, `callstash
status`, metrics.

Each query costs as much on ten million calls as on ten: they read sums that are kept, and partial
indexes of what is not settled.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from common.db import Connection
from common.pbx import KEPT
from common.queries.rows import rows


def number(db: Connection, query: str, *arguments: object) -> int:
    """Return the one number of a query, 0 where it has none."""
    row = db.execute(query, arguments).fetchone()
    return int(row[0] or 0) if row else 0


@dataclass(frozen=True)
class Daemon:
    """A process and what it says of itself."""

    name: str
    version: str
    started_at: datetime
    doing: str
    silent_seconds: float


def daemons(db: Connection) -> list[Daemon]:
    """Return the processes that have ever reported."""
    query = (
        "SELECT name, version, started_at, doing,"
        " extract(epoch FROM now() - seen_at)::float8 AS silent_seconds"
        " FROM daemon_status ORDER BY name"
    )
    return rows(db, Daemon, query)


@dataclass(frozen=True)
class Disk:
    """A file system, in bytes, and the day on which it is full; None: not in sight."""

    volume: str
    directory: str
    size: int
    free: int
    seen_at: datetime
    is_low: bool
    full_on: date | None


def disks(db: Connection) -> list[Disk]:
    """Return the file systems that can fill up."""
    query = (
        "SELECT volume, directory, size, free, seen_at, is_low, full_on FROM disk"
        " ORDER BY array_position(ARRAY['audio', 'database', 'backup'], volume)"
    )
    return rows(db, Disk, query)


@dataclass(frozen=True)
class Array:
    """An array of disks, as raidmon saw it."""

    uuid: str
    name: str
    level: str
    state: str
    disks: int
    degraded: int
    is_read_only: bool
    action: str | None
    percent: float | None
    minutes_left: float | None
    seen_at: datetime


@dataclass(frozen=True)
class Member:
    """A disk of an array, or a place where one lacks."""

    uuid: str
    disk: str
    slot: int | None
    is_ok: bool
    is_removable: bool
    role: str


def arrays(db: Connection) -> list[tuple[Array, list[Member]]]:
    """Return the arrays of disks with their disks."""
    members = rows(
        db, Member, "SELECT uuid, disk, slot, is_ok, is_removable, role FROM raid_member"
        " ORDER BY uuid, position", [],
    )  # fmt: skip
    query = (
        "SELECT uuid, name, level, state::text, disks, degraded, is_read_only, action, percent,"
        " minutes_left, seen_at FROM raid_array ORDER BY name, uuid"
    )
    return [
        (array, [member for member in members if member.uuid == array.uuid])
        for array in rows(db, Array, query, [])
    ]


@dataclass(frozen=True)
class Outbox:
    """Messages on their way: waiting to be sent, and parked since nobody listens."""

    waiting: int
    parked: int


def outbox(db: Connection) -> Outbox:
    """Return how many messages wait."""
    query = (
        "SELECT (SELECT count(*) FROM outbox WHERE sent_at IS NULL AND refused_at IS NULL)"
        " AS waiting, (SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL"
        " AND sent_at IS NULL) AS parked"
    )
    return rows(db, Outbox, query)[0]


@dataclass(frozen=True)
class Clock:
    """Since when there are calls that a PBX has and the archive does not."""

    pbx_id: int
    name: str
    stuck: datetime | None
    unlisted: datetime | None

    @property
    def loss_at(self) -> datetime | None:
        """Return when the PBX deletes the oldest of them; None: it has none."""
        return min((at + KEPT for at in (self.stuck, self.unlisted) if at), default=None)


def clocks(db: Connection) -> list[Clock]:
    """Return the clocks of the PBXs that are polled."""
    return rows(db, Clock, "SELECT pbx_id, name, stuck, unlisted FROM loss_clock ORDER BY pbx_id")


def lost(db: Connection, now: datetime) -> int:
    """Return how many recordings the PBXs lost before they were fetched, in 30 days."""
    return number(
        db, "SELECT count(*) FROM recording WHERE state = 'gone' AND listed_at > %s",
        now - timedelta(days=30),
    )  # fmt: skip


def damaged(db: Connection) -> dict[str, int]:
    """Return how many files are damaged now, by what is wrong with them."""
    query = "SELECT kind::text, count(*) FROM damage WHERE ended_at IS NULL GROUP BY kind"
    return {str(row[0]): int(row[1]) for row in db.execute(query)}


def unexplained(db: Connection, now: datetime) -> int:
    """Return how many recordings were listed in 31 days, and nobody knows what became of them."""
    return number(
        db, "SELECT sum(unexplained) FROM completeness WHERE unexplained > 0 AND day >= %s",
        (now - timedelta(days=31)).date(),
    )  # fmt: skip


@dataclass(frozen=True)
class Backups:
    """Whether backups are set up, the last one that is over, and when one last succeeded."""

    saved_at: datetime | None
    state: str | None
    error: str | None
    good_at: datetime | None
    proven_at: datetime | None
    drill_error: str | None
    lost: int | None
    mended: int


def backups(db: Connection) -> Backups:
    """Return how the backups are."""
    query = (
        "SELECT (SELECT saved_at FROM backup_target) AS saved_at, r.state::text, r.error,"
        " (SELECT max(finished_at) FROM backup_run WHERE state = 'finished') AS good_at,"
        " (SELECT max(finished_at) FROM restore_drill WHERE error IS NULL) AS proven_at,"
        " (SELECT error FROM restore_drill ORDER BY id DESC LIMIT 1) AS drill_error,"
        " (SELECT lost_rows + lost_files FROM backup_brake WHERE confirmed_at IS NULL) AS lost,"
        " (SELECT coalesce(sum((statistics->>'mended')::bigint), 0)::bigint FROM backup_run"
        " WHERE finished_at > now() - interval '7 days') AS mended"
        " FROM (SELECT 1) one LEFT JOIN (SELECT state, error FROM backup_run"
        " WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1) r ON true"
    )
    return rows(db, Backups, query)[0]


@dataclass(frozen=True)
class Stored:
    """All that is stored."""

    companies: int
    calls: int
    bytes: int


def stored(db: Connection) -> Stored:
    """Return what is stored of all companies together."""
    query = (
        "SELECT (SELECT count(*) FROM company) AS companies,"
        " coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(bytes), 0)::bigint AS bytes"
        " FROM company_usage"
    )
    return rows(db, Stored, query)[0]


COUNTED = 100_000  # of what waits: a first poll lists more, and whoever looks often must stay cheap


def waiting(db: Connection) -> dict[str, int]:
    """Return how many recordings wait by reason, `COUNTED` of them at most.

    'new': not tried yet; 'again': stored, and fetched once more since the PBX has another version
    or the file is damaged.
    """
    reasons = db.execute("SELECT unnest(enum_range(NULL::waiting_reason))::text").fetchall()
    found = dict.fromkeys(("new", "again", *(str(row[0]) for row in reasons)), 0)
    query = (
        "SELECT CASE WHEN state = 'stored' THEN 'again' ELSE coalesce(waiting::text, 'new') END,"
        " count(*) FROM (SELECT state, waiting FROM recording WHERE next_try_at IS NOT NULL"
        " LIMIT %s) due GROUP BY 1"
    )
    return found | {str(row[0]): int(row[1]) for row in db.execute(query, [COUNTED])}


@dataclass(frozen=True)
class Pbx:
    """A PBX: how its polls go, and what fails in a row."""

    id: int
    name: str
    state: str
    poll_minutes: int
    poll_failures: int
    fetch_failures: int
    good_at: datetime | None


def pbxs(db: Connection) -> list[Pbx]:
    """Return all PBXs."""
    query = (
        "SELECT p.id, p.name, p.state::text, p.poll_minutes,"
        " coalesce(s.failures, 0) AS poll_failures, coalesce(c.failures, 0) AS fetch_failures,"
        " (SELECT finished_at FROM poll WHERE pbx_id = p.id AND state = 'finished'"
        " ORDER BY id DESC LIMIT 1) AS good_at FROM pbx p"
        " LEFT JOIN poll_schedule s ON s.pbx_id = p.id"
        " LEFT JOIN pbx_contact c ON c.pbx_id = p.id ORDER BY p.id"
    )
    return rows(db, Pbx, query)


@dataclass(frozen=True)
class Alert:
    """What needs a person, as the notifier saw it."""

    kind: str
    is_critical: bool
    title: str
    raised_at: datetime
    is_acknowledged: bool


def alerts(db: Connection) -> list[Alert]:
    """Return what needs a person now, the most urgent first."""
    query = (
        "SELECT kind, is_critical, title, raised_at, acknowledged_at IS NOT NULL"
        " AS is_acknowledged FROM alert WHERE ended_at IS NULL"
        " ORDER BY NOT is_critical, raised_at, id"
    )
    return rows(db, Alert, query)


@dataclass(frozen=True)
class Licence:
    """The licence in force."""

    serial: str
    pbxs: int
    support_until: date


def licence(db: Connection) -> Licence | None:
    """Return the licence in force; None: this box is not activated."""
    query = "SELECT serial, pbxs, support_until FROM licence"
    return next(iter(rows(db, Licence, query)), None)


def dead_letters(db: Connection) -> int:
    """Return how many messages nobody could handle, and nobody has settled."""
    return number(db, "SELECT count(*) FROM dead_letter WHERE settled_at IS NULL")


def mails(db: Connection) -> int:
    """Return how many mails wait to be sent."""
    return number(db, "SELECT count(*) FROM mail WHERE next_try_at IS NOT NULL")
