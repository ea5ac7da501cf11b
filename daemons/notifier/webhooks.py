"""Webhooks: alerts as JSON to addresses that an administrator named, signed so that they can be
told from anybody else's (Standard Webhooks 1.0: webhook-id, webhook-timestamp, webhook-signature).

A delivery is claimed in one commit, sent, and marked in the next: once, or twice with the same id.
"""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import requests

from common import mail, seal
from common.daemon import Life
from common.db import Connection
from common.errors import CallStashError, KeyUnavailable
from daemons.notifier.queries import webhooks

log = logging.getLogger(__name__)

FIRST, LONGEST = timedelta(seconds=15), timedelta(hours=1)
KEPT = timedelta(days=3)
SECONDS = 5  # to connect, and for each read


class WebhookRefused(CallStashError):
    """A webhook did not take what it was told; the text says why."""


class Webhooks:
    """Sends what is due, one in each step."""

    def __init__(self, db: Connection, key: bytes, now: Callable[[], datetime]) -> None:
        self._db = db
        self._key = key
        self._now = now

    def step(self, life: Life) -> bool:
        """Send one, and say whether there was one."""
        due = webhooks.claim(self._db, self._now(), FIRST, LONGEST)
        if due is None:
            return False
        life.doing("telling a webhook")
        try:
            self._send(due.id, due.url, due.secret_sealed, due.body)
        except WebhookRefused as error:
            is_final = self._now() - due.created_at > KEPT
            webhooks.failed(self._db, due.id, str(error), is_final=is_final)
            if is_final or due.attempts == 1:
                log.warning("a webhook could not be told: %s", error, extra={"delivery": due.id})
        else:
            webhooks.sent(self._db, due.id, self._now())
        return True

    def test(self, number: int) -> str:
        """Tell a webhook something harmless. Raises WebhookRefused."""
        found = webhooks.webhook(self._db, number)
        if found is None:
            raise WebhookRefused("This webhook was removed.")
        body = {"event": "test", "title": "CallStash reaches this webhook.",
                "at": self._now().isoformat(timespec="seconds")}  # fmt: skip
        self._send(uuid4(), *found, json.dumps(body))
        return "The webhook took it."

    def _send(self, identity: UUID, url: str, sealed: bytes, body: str) -> None:
        try:
            secret = seal.unseal(self._key, sealed, mail.webhook(url))
        except KeyUnavailable as error:
            raise WebhookRefused(f"Its secret can't be read: {error}.") from error
        at = str(int(self._now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": str(identity),
            "webhook-timestamp": at,
            "webhook-signature": signature(secret, str(identity), at, body),
        }
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    url, data=body.encode(), headers=headers, timeout=SECONDS,
                    allow_redirects=False, stream=True,
                )  # fmt: skip
                status = answer.status_code
        except (requests.RequestException, OSError) as error:
            raise WebhookRefused(f"It can't be reached: {type(error).__name__}.") from error
        if not 200 <= status < 300:
            raise WebhookRefused(f"It answered with status {status}.")


def signature(secret: bytes, identity: str, at: str, body: str) -> str:
    """Return the signature of a delivery (Standard Webhooks 1.0, "Signature scheme")."""
    signed = f"{identity}.{at}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
