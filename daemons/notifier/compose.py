"""Mails, as text and as HTML. Pure: the clock and the names come in."""

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from uuid import UUID

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
    message.set_content("\n\n".join([*paragraphs, f"-- \nCallStash on {host}"]) + "\n")
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
