"""Entry point of callstash-poller."""

from common import daemon
from common.messages import PollerAnswer, PollerPbxChanged, PollerPollNow
from daemons.poller.poller import Poller, Settings


def main() -> None:
    """Run the poller until told to stop."""
    with daemon.start("poller", Settings) as started:
        poller = Poller(started.settings, started.db)
        handlers: daemon.Handlers = {
            PollerPollNow: poller.on_poll_now,
            PollerPbxChanged: poller.on_pbx_changed,
            PollerAnswer: poller.on_answer,
        }
        daemon.run(started, handlers, poller.step)


if __name__ == "__main__":
    main()
