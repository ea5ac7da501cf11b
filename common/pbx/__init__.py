"""PBX connectors: what CallStash asks of a PBX, whoever made it.

A connector never trusts an answer and never changes anything on the PBX. Every failure is a
PbxError whose kind says what to do. What a connector must do is written down once more as
tests/service/test_connector.py.
"""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from common.errors import ConfigError, Unreachable

KEPT = timedelta(days=21)  # how long a PBX keeps a recording


@dataclass(frozen=True)
class RemoteCompany:
    """A company on a PBX: `name` identifies it there, `label` is what people read."""

    name: str
    label: str


@dataclass(frozen=True)
class Identity:
    """Whose token it is, and what its owner may do and manage."""

    user: str
    permissions: frozenset[str]
    companies: tuple[RemoteCompany, ...]


@dataclass(frozen=True)
class RemoteRecording:
    """A recording as a PBX lists it: `duration` in seconds, `size` in bytes if it says."""

    remote_id: str
    started_at: datetime
    duration: int
    caller: str
    callee: str
    direction: str | None
    size: int | None


@dataclass
class Listing:
    """The usable rows of a listing; what is said of the others is complete after the last row."""

    rows: Iterator[RemoteRecording]
    refused: list[str] = field(default_factory=list)
    zone_mismatch: bool = False

    def __iter__(self) -> Iterator[RemoteRecording]:
        return self

    def __next__(self) -> RemoteRecording:
        return next(self.rows)


@dataclass(frozen=True)
class Media:
    """A download: `length` in bytes where the PBX announced it; reading `chunks` checks it."""

    length: int | None
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Owner:
    """Who an extension belongs to."""

    user_id: str
    company: str


@dataclass(frozen=True)
class RemoteUser:
    """A PBX user who has just logged in with their own password; names of the companies that they
    manage, and of those of which they may hear all calls.
    """

    id: str
    login: str
    name: str
    home: str
    companies: tuple[str, ...]
    hears: tuple[str, ...]


class Connector(Protocol):
    """A conversation with one PBX; all methods raise PbxError."""

    def __enter__(self) -> "Connector": ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """End the conversation."""

    def verify(self) -> Identity:
        """Say whose token it is. Raises WrongToken, and NoPermission where it can't download."""

    def list_companies(self) -> list[RemoteCompany]:
        """Return the companies that the token's owner manages."""

    def list_recordings(self, company: str, since: datetime | None, until: datetime) -> Listing:
        """List what began in a window, at least; None lists everything that the PBX still has."""

    def is_listed(self, company: str, remote_id: str, started_at: datetime) -> bool:
        """Does the PBX still list this recording?"""

    def open_media(
        self, company: str, remote_id: str, expected_size: int | None
    ) -> AbstractContextManager[Media]:
        """Download a recording as a stream. Raises NotAvailable, TransferError."""

    def owners(self, numbers: Sequence[str]) -> dict[str, Owner]:
        """Return whom these extensions belong to; unknown ones are left out."""

    def names(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return what these users are called; unknown ones are left out."""

    def authenticate(self, login: str, password: str) -> RemoteUser:
        """Check an end user's password. Raises WrongLogin."""


def connect(
    kind: str, url: str, *, token: str | None, certificate: str | None, timezone: str
) -> Connector:
    """Return a connector of this kind.

    `certificate` (PEM) is then the only one accepted; `timezone` (IANA) is that of the PBX's clock.
    Raises ConfigError for a kind or zone that does not exist.
    """
    from common.pbx.ipcortex import IPCortex

    kinds = {"ipcortex": IPCortex}
    if kind not in kinds:
        raise ConfigError(f"there is no connector for PBXs of kind '{kind}'")
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"'{timezone}' is not a time zone, such as Europe/London") from error
    return kinds[kind](url, token, certificate, zone)


def fetch_certificate(url: str) -> str:
    """Return the certificate (PEM) that a server shows, unverified: to look at, and to pin."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        raise ConfigError(f"{url} has no certificate: its address must begin with https://")
    try:
        return ssl.get_server_certificate((parts.hostname, parts.port or 443), timeout=10)
    except OSError as error:
        raise Unreachable(f"{parts.hostname}: no certificate to be had: {error}") from error
