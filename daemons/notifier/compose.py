"""Mails, as text and as HTML. Pure: the clock and the names come in."""

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from uuid import UUID
from zoneinfo import ZoneInfo

from daemons.notifier.queries.alerts import Alert
from daemons.notifier.queries.facts import Disk, Report, Week

MOST = 50  # lines of one kind in a mail

PAGE = """\
<!doctype html>
<html lang="en"><body style="font: 16px/1.5 sans-serif; color: #1d2422">
<h1 style="font-size: 20px">{title}</h1>
{paragraphs}
<p style="color: #59645f; font-size: 14px">CallStash on {host}</p>
</body></html>
"""


def mail(
    sender: str,
    recipients: Sequence[str],
    host: str,
    identity: UUID,
    now: datetime,
    title: str,
    paragraphs: Sequence[str],
) -> EmailMessage:
    """Return a mail; `identity` makes its Message-ID, the same each time that it is sent.

    Raises ValueError for addresses that are none.
    """
    message = EmailMessage()
    message["Subject"] = f"CallStash: {title}"
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{identity}@{host}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message.set_content(
        "\n\n".join([f"{title.rstrip('.')}.", *paragraphs, f"-- \nCallStash on {host}"]) + "\n"
    )
    html = "\n".join(f"<p>{_marked(paragraph)}</p>" for paragraph in paragraphs)
    message.add_alternative(
        PAGE.format(title=escape(title), paragraphs=html, host=escape(host)), subtype="html"
    )
    return message


def _marked(paragraph: str) -> str:
    text = escape(paragraph)
    if paragraph.startswith(("https://", "http://")) and not any(map(str.isspace, paragraph)):
        return f'<a href="{text}">{text}</a>'
    return text.replace("\n", "<br>\n")


def test_mail(
    sender: str, recipients: Sequence[str], host: str, identity: UUID, now: datetime
) -> EmailMessage:
    """Return what "Send test mail" sends."""
    words = (
        "This is the test mail that was asked for in the web UI.",
        "Mail from CallStash reaches you: nothing else has to be done.",
    )
    return mail(sender, recipients, host, identity, now, "test mail", words)


EVENTS = {"raised": "", "worse": "Worse: ", "ended": "Over: ", "reminder": "Still: "}
TOGETHER = {
    "raised": "New", "worse": "Worse than before", "ended": "Over", "reminder": "Still there",
}  # fmt: skip


def alert(one: Alert, event: str, url: str, zone: ZoneInfo) -> tuple[str, list[str]]:
    """Return the title and the paragraphs of a mail about one alert."""
    level = "Critical" if one.is_critical else "Warning"
    begun = f"It began on {_moment(one.raised_at, zone)}"
    when = f"{begun} and ended on {_moment(one.ended_at, zone)}." if one.ended_at else f"{begun}."
    title = f"{EVENTS[event] if one.ended_at else f'{level}: {EVENTS[event]}'}{one.title}"
    said = [] if one.ended_at else [one.body]
    if event == "reminder":
        said.append("You get this mail every day until it is over or acknowledged.")
    return title, [*filter(None, said), when, url]


def alerts(
    news: Sequence[tuple[Alert, str]], url: str, zone: ZoneInfo
) -> tuple[str, list[str]]:  # fmt: skip
    """Return the title and the paragraphs of one mail about many alerts."""
    critical = sum(one.is_critical and not one.ended_at for one, _ in news)
    paragraphs = []
    for event, words in TOGETHER.items():
        lines = [
            f"{_moment(one.raised_at, zone)}: {'CRITICAL ' if one.is_critical else ''}{one.title}"
            for one, which in news
            if which == event
        ]
        if lines:
            more = [f"and {len(lines) - MOST:,} more"] if len(lines) > MOST else []
            paragraphs.append("\n".join([f"{words} ({len(lines):,}):", *lines[:MOST], *more]))
    level = (
        f"Critical: {critical:,} of {len(news):,} alerts" if critical else f"{len(news):,} alerts"
    )
    together = "Much changed within a short time, so this is one mail about all of it."
    return level, [together, *paragraphs, url]


def digest(week: Week, disks: Sequence[Disk], url: str) -> tuple[str, list[str]]:
    """Return the title and the paragraphs of the weekly mail."""
    title = f"the week: {week.stored:,} recordings stored"
    if week.open_alerts:
        title += f", {week.open_alerts:,} open alerts"
    else:
        title += ", all is well"
    figures = [
        f"Recordings stored: {week.stored:,} ({week.bytes / 1e9:,.1f} GB)",
        f"Polls: {week.polls:,}, of which {week.failed:,} failed",
        f"Recordings deleted since they had expired: {week.deleted:,}",
        f"Open alerts: {week.open_alerts:,}",
    ]
    rooms = [
        f"{disk.volume}: {disk.free / disk.size:.0%} free"
        + (f", full on {disk.full_on.day} {disk.full_on:%B %Y}" if disk.full_on else "")
        for disk in disks
    ]
    return title, ["\n".join(figures), "\n".join(["Disks:", *rooms]), url]


FIGURES = {  # as rsync counts them
    "files": "Files looked at", "transferred": "Files copied", "created": "New files",
    "deleted": "Deleted files", "size": "Size of what was looked at, in bytes",
    "transferred_size": "Size of what was copied, in bytes", "sent": "Bytes sent",
    "received": "Bytes received", "mended": "Damaged copies at the target that were copied again",
    "drifted": "Rows that had changed unseen: all were copied anew",
}  # fmt: skip
RARE = ("mended", "drifted")  # told only where there were any


def backup(report: Report, url: str, zone: ZoneInfo) -> tuple[str, list[str]]:
    """Return the title and the paragraphs of a mail about a backup."""
    words = {"finished": "finished", "failed": "failed", "cancelled": "was cancelled"}
    span = f"It ran from {_moment(report.started_at, zone)} to {_moment(report.finished_at, zone)}."
    figures = [
        f"{words}: {report.statistics[name]:,}"
        for name, words in FIGURES.items()
        if report.statistics.get(name) or name in report.statistics and name not in RARE
    ]
    said = [report.error or "", span, "\n".join(figures), url]
    return f"Backup {words[report.state]}", [paragraph for paragraph in said if paragraph]


def _moment(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {local:%B %Y, %H:%M}"
