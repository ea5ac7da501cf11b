"""Has anything moved? poll(2) on the kernel's md files, and udev for disks and arrays that come
and go.

udev says nothing when a disk fails, and the files say nothing of a disk that is plugged in. Both
are hints: whoever asks reads the state anew, and does so once a minute in any case.
"""

import os
import select
import time
from contextlib import suppress
from pathlib import Path

import pyudev

FILES = ("array_state", "degraded", "sync_action", "sync_completed")
EVERY = 60.0  # seconds


class Watch:
    """The files and the udev socket that wake us."""

    def __init__(self, block: Path, mdstat: Path) -> None:
        self._block = block
        self._mdstat = mdstat
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        self._monitor.filter_by("block")
        self._monitor.start()
        self._poll = select.poll()
        self._open: dict[Path, int] = {}
        self._looked = 0.0

    def has_changed(self) -> bool:
        """Say whether to look, and begin to wait for the next change."""
        woken = bool(self._poll.poll(0)) or self._heard()
        is_time = time.monotonic() - self._looked >= EVERY
        if not (woken or is_time):
            return False
        self._looked = time.monotonic()
        self._arm()
        return True

    def _heard(self) -> bool:
        heard = False
        while self._monitor.poll(0) is not None:
            heard = True
        return heard

    def _arm(self) -> None:
        """Open what is new, close what is gone, and read all: a read file wakes at its next change
        (Documentation/admin-guide/sysfs-rules, "poll").
        """
        wanted = {self._mdstat, *self._block.glob("md*/md/dev-*/state")}
        wanted |= {path / name for path in self._block.glob("md*/md") for name in FILES}
        for path in set(self._open) - wanted:
            self._close(path)
        for path in wanted - set(self._open):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self._open[path] = descriptor
                self._poll.register(descriptor, select.POLLPRI | select.POLLERR)
        for path, descriptor in list(self._open.items()):
            try:
                os.pread(descriptor, 1 << 16, 0)
            except OSError:
                self._close(path)

    def _close(self, path: Path) -> None:
        descriptor = self._open.pop(path)
        self._poll.unregister(descriptor)
        os.close(descriptor)
