"""Links to recordings: those that somebody sent, and the one that somebody opens."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.db import Connection
from webui.queries.rows import rows

CODE_TRIES = 5


@dataclass(frozen=True)
class Sent:
    """A link as its sender sees it; `works` until it is revoked, used up or expired."""

    id: int
    recording_id: UUID
    started_at: datetime
    caller: str
    caller_name: str
    callee: str
    callee_name: str
    sender: str
    sender_name: str
    recipient: str
    created_at: datetime
    expires_at: datetime
    most_plays: int | None
    plays: int
    revoked_at: datetime | None
    works: bool
    opened_at: datetime | None
    mail_sent_at: datetime | None
    mail_refused_at: datetime | None
    mail_error: str | None


_WORKS = (
    "(l.revoked_at IS NULL AND now() < l.expires_at AND l.code_failures < %(tries)s"
    " AND (SELECT users_may_mail_links FROM general_settings))"
)
_SENT = (
    "SELECT l.id, l.recording_id, r.started_at, r.caller, r.caller_name, r.callee, r.callee_name,"
    " l.sender, l.sender_name, l.recipient, l.created_at, l.expires_at, l.most_plays, l.plays,"
    f" l.revoked_at, {_WORKS} AS works, (SELECT max(v.opened_at) FROM link_visit v"
    " WHERE v.link_id = l.id) AS opened_at, m.sent_at AS mail_sent_at,"
    " m.refused_at AS mail_refused_at, m.error AS mail_error FROM link l"
    " JOIN recording r ON r.id = l.recording_id JOIN mail m ON m.id = l.mail_id"
)


def sent(db: Connection, sender: str | None, before: int | None, limit: int) -> list[Sent]:
    """Return the links of a sender (None: of all), newest first, older than one."""
    query = (
        f"{_SENT} WHERE (%(sender)s::text IS NULL OR l.sender = %(sender)s)"
        " AND (%(before)s::bigint IS NULL OR l.id < %(before)s) ORDER BY l.id DESC LIMIT %(limit)s"
    )
    arguments = {"sender": sender, "before": before, "limit": limit, "tries": CODE_TRIES}
    return rows(db, Sent, query, arguments)


def may_be_sent(db: Connection) -> bool:
    """Say whether the administrators allow links, and mail can be sent."""
    query = (
        "SELECT 1 FROM mail_server, general_settings WHERE sender <> '' AND users_may_mail_links"
    )
    return db.execute(query).fetchone() is not None


def add(
    db: Connection,
    token: bytes,
    recording_id: UUID,
    sender: tuple[str, str],
    recipient: str,
    message: str,
    mail_id: UUID,
    hours: int,
    most_plays: int | None,
    code_hash: str | None,
) -> int:
    """Insert a link under the hash of its token and return its id; `sender` is account and name."""
    row = db.execute(
        "INSERT INTO link (token_sha256, recording_id, sender, sender_name, recipient, message,"
        " mail_id, expires_at, most_plays, code_hash)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, now() + %s * interval '1 hour', %s, %s) RETURNING id",
        [token, recording_id, *sender, recipient, message, mail_id, hours, most_plays, code_hash],
    ).fetchone()
    assert row is not None
    return int(row[0])


def revoke(db: Connection, link_id: int, sender: str | None, by: str) -> UUID | None:
    """End a link of a sender (None: of anybody); return its recording, None where there is none."""
    row = db.execute(
        "UPDATE link SET revoked_at = coalesce(revoked_at, now()),"
        " revoked_by = coalesce(revoked_by, %(by)s) WHERE id = %(id)s"
        " AND (%(sender)s::text IS NULL OR sender = %(sender)s) RETURNING recording_id",
        {"by": by, "id": link_id, "sender": sender},
    ).fetchone()
    return row[0] if row else None


@dataclass(frozen=True)
class Link:
    """A link that works."""

    id: int
    recording_id: UUID
    company: str
    started_at: datetime
    caller: str
    caller_name: str
    callee: str
    callee_name: str
    sender_name: str
    message: str
    expires_at: datetime
    most_plays: int | None
    plays: int
    code_hash: str | None
    visit_until: datetime | None

    @property
    def is_used_up(self) -> bool:
        """Say whether it can't be opened once more."""
        return self.most_plays is not None and self.plays >= self.most_plays


def link(db: Connection, token: bytes, browser: bytes) -> Link | None:
    """Return a link by the hash of its token, with the visit of a browser, by that of its own."""
    query = (
        "SELECT l.id, l.recording_id, c.label AS company, r.started_at, r.caller, r.caller_name,"
        " r.callee, r.callee_name, l.sender_name, l.message, l.expires_at, l.most_plays, l.plays,"
        " l.code_hash, (SELECT max(least(v.until, l.expires_at)) FROM link_visit v"
        " WHERE v.link_id = l.id AND v.token_sha256 = %(browser)s AND v.until > now())"
        " AS visit_until FROM link l JOIN recording r ON r.id = l.recording_id"
        " JOIN company c ON c.id = r.company_id"
        f" WHERE l.token_sha256 = %(token)s AND r.state = 'stored' AND {_WORKS}"
    )
    arguments = {"token": token, "browser": browser, "tries": CODE_TRIES}
    return next(iter(rows(db, Link, query, arguments)), None)


def count_code(db: Connection, link_id: int) -> bool:
    """Count a code as wrong before it is looked at; false where there were too many."""
    query = (
        "UPDATE link SET code_failures = code_failures + 1 WHERE id = %s AND code_failures < %s"
        " AND code_hash IS NOT NULL"
    )
    return db.execute(query, [link_id, CODE_TRIES]).rowcount == 1


def use_code(db: Connection, link_id: int) -> bool:
    """Let a code that was right never work again; false where it did not any more."""
    query = (
        "UPDATE link SET code_hash = NULL, code_failures = code_failures - 1, most_plays ="
        " least(most_plays, plays + 1) WHERE id = %s AND code_hash IS NOT NULL"
    )
    return db.execute(query, [link_id]).rowcount == 1


def open_link(
    db: Connection, link_id: int, browser: bytes, minutes: int, address: str | None, agent: str
) -> bool:
    """Count an opening and let that browser play for a while; false where none is left."""
    opened = db.execute(
        "UPDATE link l SET plays = plays + 1 WHERE id = %(id)s"
        f" AND (most_plays IS NULL OR plays < most_plays) AND {_WORKS}",
        {"id": link_id, "tries": CODE_TRIES},
    ).rowcount
    if opened:
        db.execute(
            "INSERT INTO link_visit (link_id, token_sha256, until, address, user_agent)"
            " VALUES (%s, %s, now() + %s * interval '1 minute', %s, %s)",
            [link_id, browser, minutes, address, agent],
        )
    return bool(opened)
