"""Run an archiver until nothing is due, once for each line on standard input.

Each run is a fork of this process, which saves the start of Python, and stops itself (SIGSTOP)
before it begins, so that the store path drill can attach strace. Printed are its process id, then
its wait status. What an archiver imports late is imported before: an import opens more or fewer
files as others write to the directories of the packages, and strace counts them all.
"""

import encodings.idna  # noqa: F401
import os
import signal
import sys
from datetime import UTC, datetime

import psycopg
from cryptography.hazmat.backends import default_backend

import common.pbx.ipcortex  # noqa: F401
from common import config, db, journal
from common.daemon import Life
from daemons.archiver.archiver import Archiver, Settings


def main() -> None:
    """Serve until the end of standard input."""
    journal.setup()
    default_backend()
    settings = config.load("archiver", Settings)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(_archive(settings))
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def _archive(settings: Settings) -> int:
    """Archive everything that is due now; what fails is not tried again in this run."""
    began = datetime.now(UTC)
    try:
        with db.connect(settings.database, "archiver") as connection:
            archiver = Archiver(settings, connection, 1, now=lambda: began)
            while archiver.step(Life("archiver@1", "archiver", settings.database, connection)):
                pass
    except psycopg.OperationalError as error:
        print(f"PostgreSQL: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
