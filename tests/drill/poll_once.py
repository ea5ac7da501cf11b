"""Run the poller until the PBX is listed, then end."""

from common import config, db, journal
from common.daemon import Life
from daemons.poller.poller import Poller, Settings


def main() -> None:
    """Poll every PBX that is due."""
    journal.setup()
    settings = config.load("poller", Settings)
    with db.connect(settings.database, "poller") as connection:
        poller = Poller(settings, connection)
        while poller.step(Life("poller", "poller", settings.database, connection)):
            pass


if __name__ == "__main__":
    main()
