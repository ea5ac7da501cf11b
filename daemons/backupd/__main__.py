"""Entry point of callstash-backupd."""

from common import daemon
from common.messages import BackupdAnswer
from daemons.backupd.backupd import Backupd, Settings


def main() -> None:
    """Run backupd until told to stop."""
    with daemon.start("backupd", Settings) as started:
        backupd = Backupd(started.settings, started.db)
        try:
            daemon.run(started, {BackupdAnswer: backupd.on_answer}, backupd.step)
        finally:
            backupd.close()


if __name__ == "__main__":
    main()
