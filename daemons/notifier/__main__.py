"""Entry point of callstash-notifier."""

from common import daemon
from common.messages import NotifierAnswer
from daemons.notifier.notifier import Notifier, Settings


def main() -> None:
    """Run the notifier until told to stop."""
    with daemon.start("notifier", Settings) as started:
        notifier = Notifier(started.settings, started.db)
        daemon.run(started, {NotifierAnswer: notifier.on_answer}, notifier.step)


if __name__ == "__main__":
    main()
