"""Run one archiver until nothing is due, then end: the process that the store path drill injects
faults into."""

import sys
from datetime import UTC, datetime

import psycopg

from common import config, db, journal
from common.daemon import Life
from daemons.archiver.archiver import Archiver, Settings


def main() -> None:
    """Archive everything that is due now; what fails is not tried again in this run."""
    journal.setup()
    settings = config.load("archiver", Settings)
    began = datetime.now(UTC)
    with db.connect(settings.database, "archiver") as connection:
        archiver = Archiver(settings, connection, 1, now=lambda: began)
        while archiver.step(Life("archiver@1", "archiver", settings.database, connection)):
            pass


if __name__ == "__main__":
    try:
        main()
    except psycopg.OperationalError as error:
        sys.exit(f"PostgreSQL: {error}")
