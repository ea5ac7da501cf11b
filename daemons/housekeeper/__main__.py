"""Entry point of callstash-housekeeper."""

from common import daemon
from common.messages import HousekeeperAnswer
from daemons.housekeeper.housekeeper import Housekeeper, Settings


def main() -> None:
    """Run the housekeeper until told to stop."""
    with daemon.start("housekeeper", Settings) as started:
        housekeeper = Housekeeper(started.settings, started.db)
        daemon.run(started, {HousekeeperAnswer: housekeeper.on_answer}, housekeeper.step)


if __name__ == "__main__":
    main()
