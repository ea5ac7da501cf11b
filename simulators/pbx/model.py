"""What the simulated PBX knows: its users, and its calls by a clock that can be moved."""

import hashlib
import json
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from simulators.pbx.media import CODECS, SPARE, Media

KEPT = 21 * 86400
KEY = "xl1fkv78ufe0bpy-d0r6mwoct6qovcy-rxvn2nm8nta7rn5"
MANAGED = ["default", "demonstration", "company_c_540"]


@dataclass(frozen=True)
class User:
    """A PBX user: `perms` as the PBX sends them, `companies` those that they manage."""

    id: int
    login: str
    name: str
    company: str
    perms: dict[str, str]
    companies: list[str] = field(default_factory=list)
    extensions: tuple[str, ...] = ()

    @property
    def password(self) -> str:
        """The password of a simulated user."""
        return f"{self.login}-password"


PLAIN = {"user": "yes"}
ARCHIVE_USER = User(
    900, "callstash", "CallStash", "default",
    {"user": "yes", "cdr": "yes", "cdr_all": "yes", "callrec_dl": "yes", "comp": "yes"},
)  # fmt: skip
USERS = (
    User(238, "alice", "Alice Archer", "default", PLAIN, [], ("200", "201")),
    User(239, "bob", "Bob Baker", "default", PLAIN, [], ("202",)),
    User(240, "carol", "Carol Clerk", "default", {"user": "yes", "callrec_co": "yes"},
         ["default"], ("203",)),
    User(241, "dave", "Dave Dealer", "demonstration", PLAIN, [], ("300_demonstration",)),
    User(242, "erin", "Erin Ericson", "demonstration", PLAIN, [], ("301_demonstration",)),
    User(243, "frank", "Frank Floor", "company_c_540", PLAIN, [], ("400_company_c_540",)),
    User(244, "grace", "Grace Green", "company_c_540", PLAIN, [], ("401_company_c_540",)),
)  # fmt: skip


@dataclass(eq=False)
class Call:
    """A call: its recording is `head` and `length` bytes of the codec's samples from `offset`."""

    company: str
    file: str
    start: int
    duration: int
    caller: str
    callee: str
    codec: str
    offset: int
    length: int
    head: bytes
    stamp: tuple[int, int, int, int]
    number: int
    row: bytes = b""

    def __post_init__(self) -> None:
        self.relist()

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return len(self.head) + self.length

    @property
    def mime(self) -> str:
        """The type of the recording."""
        return "audio/mpeg" if self.codec == "mp3" else "audio/wav"

    def relist(self) -> None:
        """Bring the row of the listing up to date."""
        members = ("file", "start", "duration", "caller", "callee", "size")
        self.row = json.dumps({name: getattr(self, name) for name in members}).encode()


class Model:
    """The PBX's data; every method may be called from any thread."""

    def __init__(self, media: Media, zone: ZoneInfo, seed: int) -> None:
        self.media = media
        self.zone = zone
        self.random = random.Random(seed)
        self.key_works = True
        self.managed = list(MANAGED)
        self.owners = {extension: user for user in USERS for extension in user.extensions}
        self._lock = threading.RLock()
        self._offset = 0.0
        self._number = 0
        self._calls: dict[str, Call] = {}
        # by company, then also by year, month, day, hour
        self._buckets: defaultdict[tuple[str | int, ...], dict[str, Call]] = defaultdict(dict)
        self._lists: dict[tuple[str | int, ...], tuple[float, bytes]] = {}
        self._hashes: dict[Call, str] = {}

    def now(self) -> float:
        """Return the PBX's time, seconds since the epoch."""
        return time.time() + self._offset

    def set_clock(self, offset: float) -> None:
        """Set the PBX's clock so far from the true time."""
        with self._lock:
            self._offset = offset
            self._lists.clear()

    def add(
        self, company: str, start: float, seconds: float, codec: str, caller: str, callee: str
    ) -> Call:
        """Add a finished call; it begins a second earlier where there is one of the same name.

        One of 0 seconds was not answered: it leaves a header and nothing else.
        """
        kind = CODECS[codec if seconds else "pcm"]
        seconds = min(seconds, kind.longest)
        length = kind.data_bytes(seconds)
        ending = "mp3" if kind.name == "mp3" else "wav"
        with self._lock:
            second = int(start)
            while True:
                local = datetime.fromtimestamp(second, UTC).astimezone(self.zone)
                stamp = local.strftime("%Y.%m.%d.%H.%M.%S")
                file = f"{stamp}-{second}-{caller}-{callee}.{ending}"
                if file not in self._calls:
                    break
                second -= 1
            self._number += 1
            call = Call(
                company, file, second, round(seconds), caller, callee, kind.name,
                self.media.offset(kind.name, self.random), length, kind.head(file, length),
                (local.year, local.month, local.day, local.hour), self._number,
            )  # fmt: skip
            self._calls[file] = call
            for bucket in _buckets(call):
                self._buckets[bucket][file] = call
                self._lists.pop(bucket, None)
            return call

    def drop(self, call: Call) -> None:
        """Have a recording no longer."""
        with self._lock:
            del self._calls[call.file]
            for bucket in _buckets(call):
                del self._buckets[bucket][call.file]
                self._lists.pop(bucket, None)

    def change(self, call: Call, duration: int, length: int, *, growing: bool = False) -> None:
        """Let a call have another length in seconds and bytes, or be in progress. ValueError."""
        kind = CODECS[call.codec]
        if duration > kind.longest + SPARE:
            raise ValueError("there is no speech that long")
        with self._lock:
            call.duration, call.length = duration, length
            call.head = kind.head(call.file, length, growing=growing)
            call.relist()
            self._hashes.pop(call, None)
            for bucket in _buckets(call):
                self._lists.pop(bucket, None)

    def everything(self) -> list[Call]:
        """Return all calls that ever were, in the order of their numbers."""
        with self._lock:
            return list(self._calls.values())

    def offered(self, *bucket: str | int) -> list[Call]:
        """Return what is not too old, oldest first; all, or a company's, or a year's of it, …"""
        with self._lock:
            calls = self._buckets.get(bucket, {}) if bucket else self._calls
            found = [call for call in calls.values() if self._is_offered(call)]
        return sorted(found, key=lambda call: (call.start, call.file))

    def rows(self, *bucket: str | int) -> bytes:
        """Return the rows of a listing, as JSON."""
        with self._lock:
            until, rows = self._lists.get(bucket, (0.0, b""))
            if self.now() >= until:
                calls = self.offered(*bucket)
                rows = b",".join(call.row for call in calls)
                # a clock that was set back makes calls that are yet to begin
                if calls and max(self._buckets[bucket].values(), key=_start).start <= self.now():
                    self._lists[bucket] = (calls[0].start + KEPT, rows)
            return rows

    def find(self, file: str, company: str | None = None) -> Call | None:
        """Return the call whose recording has this name, if it is offered."""
        with self._lock:
            call = self._calls.get(file)
            if call is None or company not in (None, call.company):
                return None
            return call if self._is_offered(call) else None

    def sha256(self, call: Call) -> str:
        """Return the hash of what is served for a call."""
        if call not in self._hashes:
            digest = hashlib.sha256(call.head)
            for piece in self.media.pieces(call.codec, call.offset, call.length):
                digest.update(piece)
            self._hashes[call] = digest.hexdigest()
        return self._hashes[call]

    def _is_offered(self, call: Call) -> bool:
        now = self.now()
        return now - KEPT <= call.start <= now


def _start(call: Call) -> int:
    return call.start


def _buckets(call: Call) -> list[tuple[str | int, ...]]:
    return [(call.company, *call.stamp[:length]) for length in range(5)]
