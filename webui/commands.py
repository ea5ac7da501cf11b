"""What administrators tell the daemons: a message in the outbox, committed with its audit row.

A daemon relays it within about a second; the web UI never talks to RabbitMQ.
"""

from common import outbox
from common.db import Connection
from common.messages import PollerPollNow
from webui.queries import accounts


def poll_now(db: Connection, pbx_id: int, account: str, address: str | None) -> None:
    """Ask for a poll of a PBX as soon as its running poll ends."""
    with db.transaction():
        outbox.send(db, PollerPollNow(pbx=pbx_id, by=account))
        accounts.note(db, account, "pbx.poll_now", f"pbx:{pbx_id}", address)
