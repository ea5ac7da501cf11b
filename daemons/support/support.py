"""Keeps the tunnel to the support server while it is wanted, and for a few hours at most.

A tunnel is there only while the request is: taken away or grown old, it ends with all sessions.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from common import support
from common.support import Status
from daemons.support.tunnel import Server, Tunnel

log = logging.getLogger(__name__)

FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=1)  # pauses between attempts
TURN = 1.0  # seconds in which a request that is gone is seen


@dataclass(frozen=True)
class Settings:
    """The support service's part of callstash.toml."""

    database: str
    server: str = ""
    port: int = 22
    user: str = "callstash"
    host_key: str = ""  # the only key that the server may show: type and base64
    target: str = "127.0.0.1:22"  # what the other end reaches
    hours: int = 8
    directory: Path = support.DIRECTORY


class Support:
    """`audit` writes an action with its details to the audit log."""

    def __init__(
        self,
        settings: Settings,
        key: Path,
        now: Callable[[], datetime],
        audit: Callable[[str, dict[str, object]], None],
    ) -> None:
        self._settings = settings
        self._server = Server(
            settings.server, settings.port, settings.user, settings.host_key, settings.target
        )
        self._key = key
        self._now = now
        self._audit = audit
        self._tunnel: Tunnel | None = None
        self._pause = FIRST
        self._next = now()
        self._text = "Connecting to the support server."
        self._told: int | None = None
        self.doing = "starting"  # in words, for systemctl status

    def step(self, wait: Callable[[float], object]) -> bool:
        """Do what is to be done within about a second; false when no tunnel is wanted any more."""
        request = support.wanted(self._settings.directory)
        now = self._now()
        if request is None:
            return self._end("", now)
        until = min(request.at, now) + timedelta(hours=self._settings.hours)
        if now >= until:
            hours = self._settings.hours
            self._audit("support.ended", {"asked_by": request.by, "after_hours": hours})
            log.info("remote support ended by itself")
            support.disconnect(self._settings.directory)
            return self._end(f"It ended by itself after {hours} hours.", now)
        self._turn(now, wait)
        port = self._tunnel.port if self._tunnel else None
        sessions = self._tunnel.sessions if self._tunnel else 0
        self.doing = (
            f"tunnel open at port {port}, {sessions} sessions, until {until:%H:%M} UTC"
            if port else "connecting to the support server"
        )  # fmt: skip
        support.report(
            self._settings.directory,
            Status("active" if port else "connecting", "" if port else self._text, port, sessions,
                   until), now,
        )  # fmt: skip
        return True

    def _turn(self, now: datetime, wait: Callable[[float], object]) -> None:
        if self._tunnel is None:
            if now < self._next and self._next - now <= LONGEST:
                wait(TURN)
                return
            self._tunnel = Tunnel(self._server, self._key)
        if not self._tunnel.turn(TURN):
            self._text = f"{self._tunnel.reason} It is tried again."
            log.warning("the tunnel ended", extra={"reason": self._tunnel.reason})
            self.close()
            self._next, self._pause = now + self._pause, min(2 * self._pause, LONGEST)
        elif self._tunnel.port is not None and self._tunnel.port != self._told:
            self._told, self._pause = self._tunnel.port, FIRST
            log.info("the tunnel is open", extra={"port": self._told})
            self._audit("support.opened", {"port": self._told, "server": self._settings.server})

    def _end(self, text: str, now: datetime) -> bool:
        self.close()
        support.report(self._settings.directory, Status("inactive", text), now)
        return False

    def close(self) -> None:
        """End the tunnel, if there is one."""
        self._told = None
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None
