"""Entry point of the metrics server."""

import argparse
import logging
import sys

from common import __version__, config, journal
from common.errors import ConfigError
from daemons.metrics.metrics import Settings, run

log = logging.getLogger(__name__)


def main() -> int:
    """Serve metrics until told to stop."""
    journal.setup()
    parser = argparse.ArgumentParser(prog="callstash-metrics")
    parser.add_argument("--version", action="version", version=f"callstash-metrics {__version__}")
    parser.add_argument("--check", action="store_true", help="read the configuration and stop")
    arguments = parser.parse_args()
    try:
        settings = config.load("metrics", Settings)
        if arguments.check:
            log.info("the configuration is good")
            return 0
        run(settings)
    except (ConfigError, OSError) as error:
        log.error("%s", error)
        return 78 if isinstance(error, ConfigError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
