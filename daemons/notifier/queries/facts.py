"""SQL: what is true now, of all that may need a person."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg.rows import class_row

from common.db import Connection
from common.queries.health import number


@dataclass(frozen=True)
class Disk:
    """A file system, in bytes."""

    volume: str
    size: int
    free: int
    is_low: bool
    full_on: date | None


def disks(db: Connection) -> list[Disk]:
    """Return the file systems."""
    with db.cursor(row_factory=class_row(Disk)) as cursor:
        return cursor.execute(
            "SELECT volume, size, free, is_low, full_on FROM disk ORDER BY volume"
        ).fetchall()


@dataclass(frozen=True)
class Pbx:
    """A PBX that is polled: failed polls and refused downloads in a row, and why."""

    id: int
    name: str
    poll_failures: int
    poll_error: str | None
    good_at: datetime | None
    fetch_failures: int
    fetch_error: str | None


def pbxs(db: Connection) -> list[Pbx]:
    """Return the PBXs that are polled, with their troubles."""
    with db.cursor(row_factory=class_row(Pbx)) as cursor:
        return cursor.execute(
            "SELECT p.id, p.name, s.failures AS poll_failures, (SELECT error FROM poll"
            " WHERE pbx_id = p.id AND error IS NOT NULL ORDER BY id DESC LIMIT 1) AS poll_error,"
            " (SELECT finished_at FROM poll WHERE pbx_id = p.id AND state = 'finished'"
            " ORDER BY id DESC LIMIT 1) AS good_at, coalesce(c.failures, 0) AS fetch_failures,"
            " c.error AS fetch_error FROM pbx p JOIN poll_schedule s ON s.pbx_id = p.id"
            " LEFT JOIN pbx_contact c ON c.pbx_id = p.id"
            " WHERE p.state = 'active' AND (s.failures > 0 OR c.failures > 0) ORDER BY p.id"
        ).fetchall()


def braked(db: Connection) -> int:
    """Return how many recordings the brake keeps a deletion from, until somebody permits it."""
    return number(
        db, "SELECT planned_calls FROM purge WHERE id = (SELECT max(id) FROM purge)"
        " AND state = 'braked' AND NOT EXISTS (SELECT FROM purge_permit"
        " WHERE granted_at > started_at)",
    )  # fmt: skip


def stuck_messages(db: Connection) -> int:
    """Return how many messages between the daemons need a person."""
    return number(
        db, "SELECT (SELECT count(*) FROM dead_letter WHERE settled_at IS NULL)"
        " + (SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL AND sent_at IS NULL)",
    )  # fmt: skip


@dataclass(frozen=True)
class Array:
    """An array of disks: how many it should have, how many it lacks, and which are not well."""

    uuid: str
    name: str
    state: str
    disks: int
    degraded: int
    action: str | None
    minutes_left: float | None
    bad: str | None
    rebuilding: str | None


def arrays(db: Connection) -> list[Array]:
    """Return the arrays of disks."""
    with db.cursor(row_factory=class_row(Array)) as cursor:
        return cursor.execute(
            "SELECT a.uuid, a.name, a.state::text, a.disks, a.degraded, a.action, a.minutes_left,"
            " (SELECT string_agg(disk, ', ' ORDER BY position) FROM raid_member m"
            " WHERE m.uuid = a.uuid AND NOT is_ok AND disk <> '') AS bad,"
            " (SELECT string_agg(disk, ', ' ORDER BY position) FROM raid_member m"
            " WHERE m.uuid = a.uuid AND role = 'rebuilding') AS rebuilding"
            " FROM raid_array a ORDER BY a.name"
        ).fetchall()


@dataclass(frozen=True)
class Upgrade:
    """An upgrade that failed: `outcome` is failed or broken."""

    after_version: str | None
    outcome: str
    text: str


def failed_upgrade(db: Connection, since: datetime) -> Upgrade | None:
    """Return the last upgrade that was begun, if it failed, and was over after an instant."""
    with db.cursor(row_factory=class_row(Upgrade)) as cursor:
        return cursor.execute(
            "SELECT after_version, outcome::text, text FROM (SELECT * FROM upgrade_run"
            " WHERE outcome <> 'refused' ORDER BY finished_at DESC LIMIT 1) u"
            " WHERE outcome <> 'done' AND finished_at > %s",
            [since],
        ).fetchone()


def kit_read_at(db: Connection) -> datetime | None:
    """Return when somebody last showed the recovery kit."""
    row = db.execute("SELECT read_at FROM recovery_kit").fetchone()
    return row[0] if row else None


@dataclass(frozen=True)
class Report:
    """A backup that is over and was not told of."""

    id: int
    state: str
    started_at: datetime
    finished_at: datetime
    statistics: dict[str, int]
    error: str | None


def reports(db: Connection) -> list[Report]:
    """Lock and return backups of which nobody was told."""
    with db.cursor(row_factory=class_row(Report)) as cursor:
        return cursor.execute(
            "SELECT id, state::text, started_at, finished_at, statistics, error FROM backup_run"
            " WHERE finished_at IS NOT NULL AND told_at IS NULL ORDER BY id FOR UPDATE"
        ).fetchall()


def reported(db: Connection, run: int, now: datetime) -> None:
    """Note that a backup was told of, or that nobody wanted that."""
    db.execute("UPDATE backup_run SET told_at = %s WHERE id = %s", [now, run])


@dataclass(frozen=True)
class Daemon:
    """A process, when it last reported, and how often it has started since an instant."""

    name: str
    seen_at: datetime
    starts: int


def daemons(db: Connection, since: datetime) -> list[Daemon]:
    """Return the processes that have ever reported."""
    with db.cursor(row_factory=class_row(Daemon)) as cursor:
        return cursor.execute(
            "SELECT name, seen_at, (SELECT count(*) FROM unnest(starts) AS s WHERE s > %s)"
            " AS starts FROM daemon_status ORDER BY name",
            [since],
        ).fetchall()


@dataclass(frozen=True)
class Waiting:
    """Mail that waits although it was tried, since when, and what the server said last."""

    mails: int
    since: datetime | None
    error: str | None


def waiting(db: Connection) -> Waiting:
    """Return what mail waits although it was tried."""
    with db.cursor(row_factory=class_row(Waiting)) as cursor:
        found = cursor.execute(
            "SELECT count(*) AS mails, min(created_at) AS since, max(error) AS error FROM mail"
            " WHERE next_try_at IS NOT NULL AND attempts > 0"
        ).fetchone()
    assert found is not None
    return found


def refused(db: Connection, now: datetime) -> list[tuple[str, str]]:
    """Return the addresses of administrators that a mail server refused within a week, and why."""
    return [
        (str(row[0]), str(row[1]))
        for row in db.execute(
            "SELECT recipient, max(error) FROM mail WHERE kind <> 'link' AND refused_at > %s"
            " GROUP BY recipient ORDER BY recipient",
            [now - timedelta(days=7)],
        )
    ]


@dataclass(frozen=True)
class Week:
    """What happened in a week."""

    stored: int
    bytes: int
    polls: int
    failed: int
    deleted: int
    open_alerts: int


def week(db: Connection, now: datetime) -> Week:
    """Return what happened in the week before."""
    with db.cursor(row_factory=class_row(Week)) as cursor:
        found = cursor.execute(
            "SELECT p.*, t.*, d.*, a.* FROM"
            " (SELECT count(*) AS polls, count(*) FILTER (WHERE state = 'failed') AS failed"
            " FROM poll WHERE finished_at > %(since)s) p, (SELECT coalesce(sum(stored), 0)::bigint"
            " AS stored, coalesce(sum(bytes), 0)::bigint AS bytes FROM poll_tally"
            " WHERE last_at > %(since)s) t, (SELECT coalesce(sum(deleted_calls), 0)::bigint"
            " AS deleted FROM purge WHERE started_at > %(since)s) d,"
            " (SELECT count(*) AS open_alerts FROM alert WHERE ended_at IS NULL) a",
            {"since": now - timedelta(days=7)},
        ).fetchone()
    assert found is not None
    return found
