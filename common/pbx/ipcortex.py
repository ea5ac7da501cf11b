"""The connector for IPCortex PBXs (REST over HTTPS, JSON in, JSON out; errors come with status
200).

The calls for recordings are known from public code only; see docs/pbx-connectors.md for what is
sure.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from common.errors import (
    NoPermission,
    NotAvailable,
    PbxError,
    ProtocolError,
    TransferError,
    TryLater,
    WrongLogin,
    WrongToken,
)
from common.pbx import (
    Identity,
    Listing,
    Media,
    Owner,
    RemoteCompany,
    RemoteRecording,
    RemoteUser,
)
from common.pbx.http import Client, tidy

COOKIE = "Red60urne"
DOWNLOAD = "callrec_dl"  # the permissions that matter
HEAR_COMPANY = "callrec_co"
HOURLY = timedelta(hours=24)  # up to here a window is listed by hours, above by days
_STAMP = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)\.(\d\d)\.(\d\d)\.(\d\d)-")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


class IPCortex:
    """A conversation with an IPCortex PBX."""

    def __init__(
        self, url: str, token: str | None, certificate: str | None, zone: ZoneInfo
    ) -> None:
        self._client = Client(url, certificate)
        self._host = self._client.host
        self._auth = {"type": "auth", "key": token}
        self._zone = zone

    def __enter__(self) -> "IPCortex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the conversation."""
        self._client.close()

    def verify(self) -> Identity:
        """Say whose token it is. Raises WrongToken, and NoPermission where it can't download."""
        user = self._user({"auth": self._auth})
        identity = Identity(
            str(user.get("login", "")),
            frozenset(_perms(user)),
            tuple(RemoteCompany(name, name) for name in _names(user)),
        )
        if DOWNLOAD not in identity.permissions:
            raise NoPermission(
                f"{self._host}: the token's owner may not download recordings:"
                f" grant the permission Call-Recording download ({DOWNLOAD}) on the PBX"
            )
        return identity

    def list_companies(self) -> list[RemoteCompany]:
        """Return the companies that the token's owner manages."""
        return list(self.verify().companies)

    def list_recordings(self, company: str, since: datetime | None, until: datetime) -> Listing:
        """List what began in a window, at least; None lists everything that the PBX still has."""
        buckets = [{}] if since is None else _buckets(since, until, self._zone)
        listing = Listing(iter(()))
        listing.rows = self._rows(company, buckets, listing)
        return listing

    def is_listed(self, company: str, remote_id: str, started_at: datetime) -> bool:
        """Does the PBX still list this recording?"""
        hour = timedelta(hours=1)
        rows = self.list_recordings(company, started_at - hour, started_at + hour)
        return any(row.remote_id == remote_id for row in rows)

    @contextmanager
    def open_media(
        self, company: str, remote_id: str, expected_size: int | None
    ) -> Iterator[Media]:
        """Download a recording as a stream. Raises NotAvailable, TransferError."""
        body = {
            "type": "recording",
            "scope": {"file": remote_id, "company": company},
            "auth": self._auth,
        }
        with self._client.download("/rest/call/download/recording", body, expected_size) as (
            media,
            first,
        ):
            start = first.lstrip()[:1]
            if start == b"{":
                self._refusal(b"".join(media.chunks))
            if start in (b"<", b"["):
                raise ProtocolError(f"{self._host}: the PBX sent a web page instead of a recording")
            if not first:
                raise TransferError(f"{self._host}: the PBX sent an empty recording")
            yield media

    def owners(self, numbers: Sequence[str]) -> dict[str, Owner]:
        """Return whom these extensions belong to; unknown ones are left out."""
        body = {
            "type": "extension",
            "scope": {"virt_exten": list(numbers)},
            "columns": ["virt_exten", "company", "scoped_exten", "owner"],
            "auth": self._auth,
        }
        return {
            str(row["virt_exten"]): Owner(str(row["owner"]), str(row["company"]))
            for row in self._values("/rest/dialplan/read", body)
            if isinstance(row, dict) and {"virt_exten", "owner", "company"} <= row.keys()
        }

    def names(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return what these users are called; unknown ones are left out."""
        body = {
            "type": "user",
            "scope": {"id": [int(user) if user.isascii() and user.isdigit() else user
                             for user in user_ids]},
            "columns": ["id", "name"],
            "auth": self._auth,
        }  # fmt: skip
        return {
            str(row["id"]): tidy(row["name"])
            for row in self._values("/rest/ops/read", body)
            if isinstance(row, dict) and {"id", "name"} <= row.keys()
        }

    def authenticate(self, login: str, password: str) -> RemoteUser:
        """Check an end user's password. Raises WrongLogin."""
        auth = {"type": "auth", "username": login, "password": password}
        try:
            user = self._user({"auth": auth})
        except WrongToken as error:
            raise WrongLogin(f"{self._host}: the user name or the password is wrong") from error
        if session := user.get("session"):
            with suppress(PbxError):  # a session that stays open ends by itself
                self._client.ask(
                    "/rest/auth/logout",
                    {"auth": {"type": "auth"}},
                    {"Cookie": f"{COOKIE}={tidy(session)}"},
                )
        companies = tuple(_names(user))
        number = tidy(user.get("id", ""))
        if not number:
            raise ProtocolError(f"{self._host}: the PBX does not say who logged in")
        return RemoteUser(
            id=number,
            login=tidy(user.get("login", login)),
            name=tidy(user.get("name", "")),
            home=str(user.get("home", "")),
            companies=companies,
            hears=_heard(user, companies),
        )

    def _user(self, body: dict[str, Any]) -> dict[str, Any]:
        user = self._ask("/rest/auth", body).get("user")
        if not isinstance(user, dict):
            raise ProtocolError(f"{self._host}: the PBX does not say who logged in")
        return user

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.ask(path, body)
        if answer.get("result") != "success":
            self._fail(answer, NoPermission)
        return answer

    def _values(self, path: str, body: dict[str, Any]) -> list[Any]:
        values = self._ask(path, body).get("values")
        if not isinstance(values, list):
            raise ProtocolError(f"{self._host}: the PBX's answer has no list of values")
        return values

    def _refusal(self, data: bytes) -> None:
        self._fail(self._client.parse(data), NotAvailable)

    def _fail(self, answer: dict[str, Any], kind: type[PbxError]) -> None:
        """Raise what an answer that is not a success means; `kind` where it is plainly "fail"."""
        result, message = answer.get("result"), tidy(answer.get("message", "no reason given"))
        if result == "retry":
            raise TryLater(f"{self._host}: the PBX is busy: {message}")
        if result != "fail":
            raise ProtocolError(f"{self._host}: the PBX's answer is neither success nor failure")
        if "login" in message.lower():
            raise WrongToken(f"{self._host}: the PBX refuses the API token: {message}")
        raise kind(f"{self._host}: the PBX refuses: {message}")

    def _rows(
        self, company: str, buckets: list[dict[str, int]], listing: Listing
    ) -> Iterator[RemoteRecording]:
        for bucket in buckets:
            body = {
                "type": "recording",
                "scope": {"company": company, **bucket},
                "auth": self._auth,
            }
            for row in self._values("/rest/call/list", body):
                try:
                    recording = _recording(row)
                except (TypeError, ValueError, KeyError) as error:
                    listing.refused.append(f"{tidy(error)}: {tidy(row)}")
                    continue
                listing.zone_mismatch |= _other_zone(recording, self._zone)
                yield recording


def _perms(user: dict[str, Any]) -> list[str]:
    perms = user.get("perms")
    return [str(name) for name, value in perms.items() if value] if isinstance(perms, dict) else []


def _heard(user: dict[str, Any], companies: tuple[str, ...]) -> tuple[str, ...]:
    """Return the companies that a permission is for: "yes" is all of theirs, else it names one."""
    perms = user.get("perms")
    value = perms.get(HEAR_COMPANY) if isinstance(perms, dict) else None
    if value in ("yes", True):
        return companies
    return tuple(company for company in companies if company == value)


def _names(user: dict[str, Any]) -> list[str]:
    names = user.get("companies")
    return [name for name in names if _is_storable(name)] if isinstance(names, list) else []


def _is_storable(text: object) -> bool:
    """Is it text that PostgreSQL keeps as it is, and short enough for a key?"""
    return (
        isinstance(text, str)
        and text.isprintable()
        and 0 < len(text.encode("utf-8", "replace")) <= 1024
    )


def _buckets(since: datetime, until: datetime, zone: ZoneInfo) -> list[dict[str, int]]:
    """Return the calendar hours or days, by the PBX's clock, that cover a window."""
    hourly = until - since < HOURLY
    step = timedelta(minutes=15) if hourly else timedelta(hours=12)
    buckets: dict[tuple[int, ...], dict[str, int]] = {}
    instant = since
    while instant < until + step:
        local = min(instant, until).astimezone(zone)
        bucket = {"year": local.year, "month": local.month, "date": local.day}
        if hourly:
            bucket["hours"] = local.hour
        buckets[tuple(bucket.values())] = bucket
        instant += step
    return list(buckets.values())


def _number(value: object, lowest: float, highest: float) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    if not lowest <= value <= highest:
        raise ValueError("a number out of range")
    return int(value)


def _party(value: object) -> str:
    return tidy(value) if isinstance(value, str | int) else ""


def _recording(row: Any) -> RemoteRecording:
    """Return a row as a recording; raises TypeError, ValueError, KeyError if it can't be one."""
    if not isinstance(row, dict):
        raise TypeError("not a row")
    if not _is_storable(row["file"]):
        raise ValueError("not a file name")
    size = row.get("size")
    return RemoteRecording(
        remote_id=row["file"],
        started_at=datetime.fromtimestamp(_number(row["start"], _EARLIEST, _LATEST), UTC),
        duration=_number(row["duration"], 0, 30 * 86400),
        caller=_party(row.get("caller", "")),
        callee=_party(row.get("callee", "")),
        direction=None,
        size=None if size is None else _number(size, 0, 1 << 40),
    )


def _other_zone(recording: RemoteRecording, zone: ZoneInfo) -> bool:
    """Does the local time in the file's name disagree with the zone that the PBX should have?"""
    match = _STAMP.match(recording.remote_id)
    if not match:
        return False
    local = recording.started_at.astimezone(zone)
    stamp = (local.year, local.month, local.day, local.hour, local.minute)
    return stamp != tuple(map(int, match.groups()[:5]))
