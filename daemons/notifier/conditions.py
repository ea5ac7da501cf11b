"""What needs a person now, in words: each look says all of it anew.

A condition is known by its kind and subject; its rank says how bad it is, compared with itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from common.db import Connection
from common.pbx import KEPT
from common.queries import health
from daemons.notifier.queries import facts

SILENT = timedelta(minutes=2)
YEAR = timedelta(days=365)
STUCK = timedelta(hours=1)
RESTARTS = 5  # in an hour: more than an administrator does
SOON = timedelta(days=14)  # before a disk is full
VOLUMES = {"audio": "archive", "database": "database", "backup": "backup"}


@dataclass(frozen=True)
class Condition:
    """Something that needs a person; `title` is a sentence, `body` says what to do."""

    kind: str
    subject: str
    rank: int
    is_critical: bool
    title: str
    body: str


def conditions(
    db: Connection, now: datetime, started: datetime, certificate: Path | None
) -> list[Condition]:
    """Return all that is wrong now; `started` is since when the notifier runs: daemons that start
    with it have not reported yet.
    """
    return [
        *_disks(db, now),
        *_arrays(db),
        *_pbxs(db, now),
        *_losses(db, now),
        *_archive(db, now),
        *_backups(db, now),
        *_machinery(db, now, started),
        *_upgrade(db, now),
        *_mail(db, now),
        *_kit(db, now),
        *(_certificate(certificate, now) if certificate else ()),
    ]


def _disks(db: Connection, now: datetime) -> Iterator[Condition]:
    found = facts.disks(db)
    for disk in found:
        name, share = VOLUMES.get(disk.volume, disk.volume), disk.free / disk.size
        if disk.is_low:
            rank = 1 + (share < 0.05) + (share < 0.02)
            yield Condition(
                "disk_low", disk.volume, rank, rank > 1,
                f"The {name}'s disk is nearly full: {_size(disk.free)} are left.",
                f"That is {share:.0%} of {_size(disk.size)}. Make the disk larger, or keep"
                " recordings less long. Nothing is lost when it is full: recordings then wait on"
                " their PBX, which keeps them for 21 days.",
            )  # fmt: skip
        elif disk.full_on and disk.full_on <= (now + SOON).date():
            soon = disk.full_on <= (now + SOON / 2).date()
            yield Condition(
                "disk_filling", disk.volume, 1 + soon, False,
                f"The {name}'s disk will be full on {disk.full_on.day} {disk.full_on:%B %Y}.",
                "That is what follows from how it grew in the last weeks. Make it larger before,"
                " or keep recordings less long.",
            )  # fmt: skip
    if found and not any(disk.volume == "audio" for disk in found):
        yield Condition(
            "archive_missing", "", 1, True, "The archive is not there.",
            "Its directory does not hold this box's recordings. Is its disk mounted?",
        )  # fmt: skip


def _arrays(db: Connection) -> Iterator[Condition]:
    for array in facts.arrays(db):
        name, bad = array.name, f" Not well: {array.bad}." if array.bad else ""
        if array.state in ("missing", "inactive"):
            what = "is not there" if array.state == "missing" else "does not run"
            yield Condition(
                "raid", array.uuid, array.disks + 2, True, f"The disk array {name} {what}.",
                f"What lies on it can't be read or written.{bad} Contact your support, and don't"
                " write to its disks.",
            )  # fmt: skip
        elif array.state == "failed":
            yield Condition(
                "raid", array.uuid, array.disks + 1, True, f"The disk array {name} has failed.",
                f"It lacks {array.degraded} of {array.disks} disks, more than it can do without:"
                f" recordings are lost that are in no backup.{bad} Contact your support, and don't"
                " replace anything before.",
            )  # fmt: skip
        elif array.degraded:
            yield Condition(
                "raid", array.uuid, array.degraded, True,
                f"The disk array {name} lacks {array.degraded} of {array.disks} disks.",
                f"No recording is lost yet.{bad} Replace the disk as soon as possible: contact"
                " your support.",
            )  # fmt: skip
        if array.action == "recover" and array.rebuilding:
            yield Condition(
                "raid_rebuild", array.uuid, 1, False,
                f"The disk array {name} is being rebuilt onto {array.rebuilding}.",
                "It is as it should be when this is over. The home page shows how far it is.",
            )  # fmt: skip
        if array.bad and not array.degraded and array.state == "clean":
            yield Condition(
                "raid_errors", array.uuid, 1, False,
                f"A disk of the array {name} reports errors: {array.bad}.",
                "The array is complete. Replace the disk before it fails.",
            )  # fmt: skip


def _pbxs(db: Connection, now: datetime) -> Iterator[Condition]:
    for one in facts.pbxs(db):
        if one.poll_failures:
            is_long = one.good_at is not None and now - one.good_at > timedelta(days=2)
            yield Condition(
                "poll_failure", str(one.id), 1 + is_long, is_long,
                f"{one.name}: the last poll failed.",
                f"{_sentence(one.poll_error)} CallStash tries again by itself; what was missed is"
                " fetched by the next poll that succeeds.",
            )  # fmt: skip
        if one.fetch_failures >= 3:
            yield Condition(
                "fetch_failure", str(one.id), 1, False,
                f"{one.name}: no recordings can be fetched.",
                f"{_sentence(one.fetch_error)} CallStash tries again by itself.",
            )  # fmt: skip


def _losses(db: Connection, now: datetime) -> Iterator[Condition]:
    for clock in health.clocks(db):
        left = clock.loss_at - now if clock.loss_at else KEPT
        rank = sum(left < timedelta(days=days) for days in (14, 7, 3, 1))
        if rank:
            yield Condition(
                "time_to_loss", str(clock.pbx_id), rank, rank > 1,
                f"{clock.name}: calls will be lost in {_days(left)}.",
                "The PBX deletes recordings after 21 days, and some that old are not in the"
                " archive yet. See on the PBX's page why they can't be fetched.",
            )  # fmt: skip


def _archive(db: Connection, now: datetime) -> Iterator[Condition]:
    if lost := health.lost(db, now):
        yield Condition(
            "lost", "", len(str(lost)), True,
            f"{_count(lost, 'recording was', 'recordings were')} gone from the PBX before"
            " they could be fetched.",
            "This counts the last 30 days. Nothing can bring them back but the PBX's own backup.",
        )  # fmt: skip
    found = health.damaged(db)
    untracked = found.pop("untracked", 0)
    if damaged := sum(found.values()):
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.items()))
        yield Condition(
            "damaged", "", len(str(damaged)), True,
            f"{_count(damaged, 'stored recording is', 'stored recordings are')} damaged.",
            f"Their files are not as they were stored: {kinds}. What the PBX still has is fetched"
            " again. If there are more from day to day, the disk is failing.",
        )  # fmt: skip
    if untracked:
        yield Condition(
            "untracked", "", len(str(untracked)), False,
            f"{_count(untracked, 'file in the archive belongs', 'files in the archive belong')}"
            " to no recording.",
            "The housekeeping page lists them. CallStash leaves them alone.",
        )  # fmt: skip
    if unexplained := health.unexplained(db, now):
        yield Condition(
            "incomplete", "", len(str(unexplained)), True,
            f"{_count(unexplained, 'listed recording is', 'listed recordings are')} neither stored"
            " nor explained.",
            "The completeness page says of which company and day.",
        )  # fmt: skip
    if braked := facts.braked(db):
        yield Condition(
            "brake", "", len(str(braked)), False,
            f"{_count(braked, 'recording')} would be deleted, more than usual: nothing was,"
            " until that is confirmed.",
            "Look whether a limit was set too short, or a company was marked by mistake. If not,"
            " confirm it on the housekeeping page.",
        )  # fmt: skip


def _backups(db: Connection, now: datetime) -> Iterator[Condition]:
    found = health.backups(db)
    if found.saved_at is None:
        return
    if found.lost is not None:
        yield Condition(
            "backup_brake", "", len(str(found.lost)), True,
            f"{_count(found.lost, 'recording')} vanished from this machine: backups stopped.",
            "Nobody had them deleted. The backup still has them, and nothing is deleted there until"
            " this is confirmed on the backup page. Look first whether the archive's disk is"
            " whole.",
        )  # fmt: skip
    elif found.state == "failed":
        yield Condition(
            "backup_failed", "", 1, False, "The last backup failed.",
            f"{_sentence(found.error)} CallStash tries again by itself, within hours"
            " and every night.",
        )  # fmt: skip
    since = max(filter(None, (found.good_at, found.saved_at)))
    late = sum(now - since > timedelta(hours=hours) for hours in (36, 72))
    if late:
        yield Condition(
            "backup_overdue", "", late, late > 1,
            f"No backup has succeeded for {_days(now - since)}.",
            "What was archived since is only on this machine.",
        )  # fmt: skip
    if found.mended:
        yield Condition(
            "backup_mended", "", len(str(found.mended)), False,
            f"{_count(found.mended, 'copy', 'copies')} in the backup had been damaged or lost.",
            "They were copied again. This counts the last 7 days: if it goes on, don't trust the"
            " target's disk.",
        )  # fmt: skip
    yield from _proof(found, now)


def _proof(found: health.Backups, now: datetime) -> Iterator[Condition]:
    assert found.saved_at is not None
    if found.drill_error:
        yield Condition(
            "restore_unproven", "", 2, True, "What is backed up could not be restored on trial.",
            f"{_sentence(found.drill_error)} As long as this is so, don't rely on the backup.",
        )  # fmt: skip
    elif now - max(filter(None, (found.proven_at, found.saved_at))) > timedelta(days=9):
        yield Condition(
            "restore_unproven", "", 1, False, "No restore has been tried for more than a week.",
            "backupd tries one every week. The system page says what it is doing.",
        )  # fmt: skip


def _machinery(db: Connection, now: datetime, started: datetime) -> Iterator[Condition]:
    for daemon in facts.daemons(db, now - timedelta(hours=1)):
        if now - max(daemon.seen_at, started) > SILENT:
            yield Condition(
                "daemon_silent", daemon.name, 1, True,
                f"{daemon.name} does not report any more.",
                f"See why with 'systemctl status callstash-{daemon.name}'. If it was switched off"
                " on purpose, the system page lets you forget it.",
            )  # fmt: skip
        elif daemon.starts >= RESTARTS:
            yield Condition(
                "restarting", daemon.name, 1, True,
                f"{daemon.name} was started {daemon.starts} times within an hour.",
                f"See why with 'journalctl -u callstash-{daemon.name}'.",
            )  # fmt: skip
    if stuck := facts.stuck_messages(db):
        yield Condition(
            "messages", "", len(str(stuck)), False,
            f"{_count(stuck, 'message')} between the daemons could not be delivered.",
            "The system page shows them and can have them tried again.",
        )  # fmt: skip


def _upgrade(db: Connection, now: datetime) -> Iterator[Condition]:
    failed = facts.failed_upgrade(db, now - timedelta(days=30))
    if failed is not None:
        is_broken = failed.outcome == "broken"
        yield Condition(
            "upgrade_failed", "", 1 + is_broken, is_broken,
            f"The upgrade to version {failed.after_version} failed.",
            f"{_sentence(failed.text)} The page of upgrades has its log. Ask your support before"
            " you try again.",
        )  # fmt: skip


def _mail(db: Connection, now: datetime) -> Iterator[Condition]:
    waiting = facts.waiting(db)
    if waiting.since is not None and now - waiting.since > STUCK:
        yield Condition(
            "mail_stuck", "", 1, False,
            f"{_count(waiting.mails, 'mail waits', 'mails wait')}: the mail server does not"
            " take them.",
            f"{_sentence(waiting.error)} They are sent when it does.",
        )  # fmt: skip
    for address, error in facts.refused(db, now):
        yield Condition(
            "mail_refused", address, 1, False,
            f"The mail server refuses mail to {address}.", _sentence(error),
        )  # fmt: skip


def _kit(db: Connection, now: datetime) -> Iterator[Condition]:
    read_at = facts.kit_read_at(db)
    if read_at is not None and now - read_at > YEAR:
        yield Condition(
            "kit_unchecked", "", 1, False, "Nobody has shown the recovery kit for a year.",
            "Without it no backup can be restored. Take the copy that you keep elsewhere and give"
            " it to 'callstash check-kit'.",
        )  # fmt: skip


def _certificate(path: Path, now: datetime) -> Iterator[Condition]:
    try:
        until = ends(x509.load_pem_x509_certificate(path.read_bytes()))
    except (OSError, ValueError) as error:
        yield Condition(
            "certificate", "", 1, False, "The certificate of the web UI can't be read.", f"{error}"
        )
        return
    left = until - now
    rank = sum(left < timedelta(days=days) for days in (21, 7, 0))
    if rank:
        when = "has expired" if rank == 3 else f"expires in {_days(left)}"
        yield Condition(
            "certificate", "", rank, rank > 1, f"The certificate of the web UI {when}.",
            "Put a new one in place with 'callstash-set-cert'.",
        )  # fmt: skip


def ends(certificate: x509.Certificate) -> datetime:
    """Return when a certificate expires."""
    found = getattr(certificate, "not_valid_after_utc", None)  # cryptography 42
    if found is None:
        found = certificate.not_valid_after.replace(tzinfo=UTC)
    assert isinstance(found, datetime)
    return found


def _sentence(error: str | None) -> str:
    text = " ".join((error or "").split()).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _days(left: timedelta) -> str:
    if left < timedelta(hours=1):
        return "less than an hour"
    if left < timedelta(days=2):
        return _count(int(left / timedelta(hours=1)), "hour")
    return f"{left.days} days"
