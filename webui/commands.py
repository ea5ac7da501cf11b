"""What administrators tell the daemons: a message in the outbox, committed with its audit row.

It is relayed at once where RabbitMQ answers, and by any daemon within seconds where it does not.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from common import commands, outbox
from common.bus import Bus
from common.commands import Answer
from common.db import Connection
from common.messages import PollerPbxChanged, PollerPollNow
from webui import auth
from webui.settings import connection, shared


def poll_now(db: Connection, pbx_id: int) -> None:
    """Ask for a poll of a PBX as soon as its running poll ends."""
    with db.transaction():
        outbox.send(db, PollerPollNow(pbx=pbx_id, by=auth.account()))
        auth.note(db, "pbx.poll_now", f"pbx:{pbx_id}")
    relay(db)


def pbx_changed(db: Connection, pbx_id: int) -> None:
    """Say that a PBX was added or its settings changed; inside the transaction that does it."""
    outbox.send(db, PollerPbxChanged(pbx_id))


def relay(db: Connection) -> None:
    """Send what waits in the outbox now; what does not get out goes with the next daemon's turn."""
    bus = Bus(shared().settings.broker, "web", _deaf)
    try:
        if bus.connect():
            outbox.relay(db, bus)
    finally:
        bus.close()


def _deaf(_id: UUID, _message: object) -> None:
    raise AssertionError("the web UI has no queue")


def ask(daemon: str, kind: str, arguments: Mapping[str, Any]) -> Answer:
    """Have a daemon do something and wait for its answer, not inside a transaction."""
    db = connection()
    with db.transaction():
        command = commands.ask(db, daemon, kind, arguments, auth.account())
    relay(db)
    return commands.wait(db, command, commands.PATIENCE) or Answer(
        False,
        f"The {daemon} did not answer within {commands.PATIENCE:.0f} seconds. Is it running?"
        " The system page says so.",
    )
