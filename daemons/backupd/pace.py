"""How fast a target is written to, and when a new one is filled (pure)."""

from dataclasses import dataclass
from datetime import datetime, time, tzinfo


@dataclass(frozen=True)
class Pace:
    """What an administrator chose; `quiet` is a window of the day, perhaps over midnight."""

    zone: tzinfo
    rate_kb: int | None = None
    quiet: tuple[time, time] | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Return what rsync is told: it counts in 1024 bytes, and 0 would mean no limit."""
        if self.rate_kb is None:
            return ()
        return (f"--bwlimit={max(1, self.rate_kb * 1000 // 1024)}",)

    @property
    def until(self) -> str:
        """Return when the window ends."""
        return f"{self.quiet[1]:%H:%M}" if self.quiet else ""

    def is_quiet(self, now: datetime) -> bool:
        """Is it in the window?"""
        if self.quiet is None:
            return False
        at = now.astimezone(self.zone).time()
        begin, end = self.quiet
        return begin <= at < end if begin < end else at >= begin or at < end
