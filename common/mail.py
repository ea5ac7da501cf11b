"""Mail: how any process puts one in line for the notifier, and how what is secret in it is sealed.

A mail may carry a link that is as good as a password, so the table holds it sealed to the notifier.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from common import seal
from common.db import Connection


def context(host: str, security: str, username: str) -> bytes:
    """Return what a sealed password is bound to, so that it can't be sent to another server."""
    return f"mail_server\0{host}\0{security}\0{username}".encode()


def put(
    db: Connection,
    kind: str,
    recipient: str,
    title: str,
    paragraphs: Sequence[str],
    expires_at: datetime,
) -> UUID:
    """Put a mail to one address in line, inside the caller's transaction, and return its id.

    A paragraph may be an URL. The mail is tried until it is sent, refused, or of no more use.
    """
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = 'mail'").fetchone()
    assert row is not None, "no sealing key mail: run 'callstash init'"
    identity = uuid4()
    said = json.dumps({"title": title, "paragraphs": list(paragraphs)}).encode()
    db.execute(
        "INSERT INTO mail (id, kind, recipient, sealed, expires_at) VALUES (%s, %s, %s, %s, %s)",
        [identity, kind, recipient, seal.seal(bytes(row[0]), said, bound(identity)), expires_at],
    )
    return identity


def bound(identity: UUID) -> bytes:
    """Return what a sealed mail is bound to."""
    return b"mail\0" + identity.bytes


def webhook(url: str) -> bytes:
    """Return what the secret of a webhook is bound to."""
    return b"webhook\0" + url.encode()
