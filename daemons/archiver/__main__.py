"""Entry point of callstash-archiver@N."""

from contextlib import closing

from common import daemon
from common.messages import RecordingsListed
from daemons.archiver.archiver import Archiver, Settings


def main() -> None:
    """Run one archiver until told to stop."""
    with daemon.start("archiver", Settings, instances=True) as started:
        archiver = Archiver(started.settings, started.db, started.instance)
        with closing(archiver):
            daemon.run(started, {RecordingsListed: archiver.on_listed}, archiver.step)


if __name__ == "__main__":
    main()
