"""The figures as Prometheus reads them: base units, instants rather than ages, no text of anybody.

Labels are ids and our own words, so that there are as many series as PBXs, disks and daemons, never
as many as companies or calls.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common import __version__
from common.figures import Figures

STATES = ("clean", "degraded", "failed", "inactive", "missing")


class _Figures(Collector):
    """The figures of one scrape; None where PostgreSQL does not answer."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield _labelled("build_info", "Version of CallStash.", "version", {__version__: 1})
        yield _one("database_up", "Whether PostgreSQL answers.", self._figures is not None)
        if self._figures is not None:
            yield from _archive(self._figures)
            yield from _pbxs(self._figures)
            yield from _disks(self._figures)
            yield from _backups(self._figures)
            yield from _parts(self._figures)


def exposition(figures: Figures | None) -> bytes:
    """Return the metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Figures(figures))
    return generate_latest(registry)


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"callstash_{name}", text, value=float(value))


def _labelled(
    name: str, text: str, label: str, values: Mapping[str, float] | Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"callstash_{name}", text, labels=[label])
    for key, value in values.items() if isinstance(values, Mapping) else values:
        family.add_metric([key], float(value))
    return family


def _archive(found: Figures) -> Iterator[Metric]:
    yield _one("licensed", "Whether this CallStash is activated.", found.licence is not None)
    if found.licence:
        text = "When the support contract ends."
        yield _one("support_end_timestamp_seconds", text, _instant(found.licence.support_until))
    yield _one("companies", "Companies that are known.", found.stored.companies)
    yield _one("recordings_stored", "Recordings in the archive.", found.stored.calls)
    yield _one("recordings_stored_bytes", "Size of their files.", found.stored.bytes)
    text = "Recordings that are yet to be fetched, at most 100000, by why they wait."
    yield _labelled("recordings_waiting", text, "reason", found.waiting)
    text = "Recordings that were gone from their PBX before they were fetched, in 30 days."
    yield _one("recordings_lost", text, found.lost)
    text = "Recordings listed in 31 days that are neither stored nor explained."
    yield _one("recordings_unexplained", text, found.unexplained)
    kinds = dict.fromkeys(("missing", "mismatched", "unreadable", "untracked"), 0)
    text = "Files that are not as they were stored, by what is wrong."
    yield _labelled("files_damaged", text, "kind", kinds | dict(found.damaged))


def _pbxs(found: Figures) -> Iterator[Metric]:
    family = GaugeMetricFamily("callstash_pbx_info", "PBXs.", labels=["pbx", "name", "state"])
    for pbx in found.pbxs:
        family.add_metric([str(pbx.id), pbx.name, pbx.state], 1)
    yield family
    active = [pbx for pbx in found.pbxs if pbx.state == "active"]
    for name, text, values in (
        ("poll_period_seconds", "Time from poll to poll.",
         {str(pbx.id): pbx.poll_minutes * 60 for pbx in active}),
        ("last_good_poll_timestamp_seconds", "When a poll last succeeded.",
         {str(pbx.id): pbx.good_at.timestamp() for pbx in active if pbx.good_at}),
        ("poll_failures", "Polls that failed in a row.",
         {str(pbx.id): pbx.poll_failures for pbx in active}),
        ("fetch_failures", "Downloads that were refused in a row.",
         {str(pbx.id): pbx.fetch_failures for pbx in active}),
        ("loss_timestamp_seconds", "When the PBX deletes the first call that is not here.",
         {str(pbx): at.timestamp() for pbx, at in found.losses.items()}),
    ):  # fmt: skip
        yield _labelled(f"pbx_{name}", text, "pbx", values)


def _disks(found: Figures) -> Iterator[Metric]:
    disks = found.disks
    sizes = {disk.volume: disk.size for disk in disks}
    yield _labelled("disk_size_bytes", "Size of a file system.", "volume", sizes)
    free = {disk.volume: disk.free for disk in disks}
    yield _labelled("disk_free_bytes", "Free space of a file system.", "volume", free)
    text = "When a file system will be full, from how it grew in 30 days."
    full = {disk.volume: _instant(disk.full_on) for disk in disks if disk.full_on}
    yield _labelled("disk_full_timestamp_seconds", text, "volume", full)
    arrays = found.arrays
    disks_of = ((array.name, float(array.disks)) for array in arrays)
    yield _labelled("raid_disks", "Disks that an array should have.", "array", disks_of)
    lacks = ((array.name, float(array.degraded)) for array in arrays)
    yield _labelled("raid_missing_disks", "Disks that an array lacks.", "array", lacks)
    states = GaugeMetricFamily(
        "callstash_raid_state", "1 for the state that an array is in.", labels=["array", "state"]
    )
    for array in arrays:
        for state in STATES:
            states.add_metric([array.name, state], float(array.state == state))
    yield states
    text = "How far a rebuild, resync or check is."
    done = {array.name: array.percent / 100 for array in arrays if array.percent is not None}
    yield _labelled("raid_action_ratio", text, "array", done)


def _backups(found: Figures) -> Iterator[Metric]:
    backups = found.backups
    yield _one("backup_configured", "Whether backups are set up.", backups.saved_at is not None)
    yield _one("backup_failed", "Whether the last backup failed.", backups.state == "failed")
    if backups.good_at:
        text = "When a backup last succeeded."
        yield _one("backup_last_good_timestamp_seconds", text, backups.good_at.timestamp())
    text = "Whether the last trial to restore failed."
    yield _one("restore_failed", text, backups.drill_error is not None)
    if backups.proven_at:
        text = "When a restore was last proven."
        yield _one("restore_proven_timestamp_seconds", text, backups.proven_at.timestamp())


def _parts(found: Figures) -> Iterator[Metric]:
    seen = {one.name: found.at.timestamp() - one.silent_seconds for one in found.daemons}
    yield _labelled("daemon_seen_timestamp_seconds", "When a daemon last reported.", "daemon", seen)
    started = {one.name: one.started_at.timestamp() for one in found.daemons}
    yield _labelled("daemon_start_timestamp_seconds", "When a daemon started.", "daemon", started)
    yield _one("rabbitmq_up", "Whether RabbitMQ answers.", found.queues is not None)
    queues = found.queues or ()
    messages = {one.name: one.messages for one in queues}
    yield _labelled("queue_messages", "Messages that wait in a queue.", "queue", messages)
    consumers = {one.name: one.consumers for one in queues}
    yield _labelled("queue_consumers", "Processes that listen to a queue.", "queue", consumers)
    yield _one("outbox_waiting_messages", "Messages to be passed on.", found.outbox.waiting)
    yield _one("outbox_parked_messages", "Messages nobody listens to.", found.outbox.parked)
    yield _one("dead_letters", "Messages that nobody could handle.", found.dead_letters)
    yield _one("waiting_mails", "Mails to be sent.", found.mails)
    alerts = GaugeMetricFamily(
        "callstash_alerts", "Alerts that have not ended.", labels=["kind", "level"]
    )
    open_ = [(one.kind, "critical" if one.is_critical else "warning") for one in found.alerts]
    for kind, level in sorted(set(open_)):
        alerts.add_metric([kind, level], float(open_.count((kind, level))))
    yield alerts


def _instant(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
