"""Entry point of callstash-raidmon."""

from common import daemon
from daemons.raidmon.raidmon import BLOCK, MDSTAT, Raidmon, Settings
from daemons.raidmon.watch import Watch


def main() -> None:
    """Run raidmon until told to stop."""
    with daemon.start("raidmon", Settings) as started:
        raidmon = Raidmon(started.db, Watch(BLOCK, MDSTAT).has_changed)
        daemon.run(started, {}, raidmon.step)


if __name__ == "__main__":
    main()
