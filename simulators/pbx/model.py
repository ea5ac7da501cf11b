"""What the simulated PBX knows: companies, users, extensions and calls, by a clock that can be
moved."""

import hashlib
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from simulators.pbx.media import CODECS, Media

KEPT = 21 * 86400
KEY = "xl1fkv78ufe0bpy-d0r6mwoct6qovcy-rxvn2nm8nta7rn5"
OUTSIDE = ("+441632960961", "01632960123", "01632960456", "+441632960789", "anonymous", "webrtc674")
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


ARCHIVE_USER = User(
    900, "callstash", "CallStash", "default",
    {"user": "yes", "cdr": "yes", "cdr_all": "yes", "callrec_dl": "yes", "comp": "yes"},
)  # fmt: skip
USERS = (
    User(238, "alice", "Alice Archer", "default", {"user": "yes"}, [], ("200", "201")),
    User(239, "bob", "Bob Baker", "default", {"user": "yes"}, [], ("202",)),
    User(240, "carol", "Carol Clerk", "default", {"user": "yes", "callrec_co": "yes"},
         ["default"], ("203",)),
    User(241, "dave", "Dave Dealer", "demonstration", {"user": "yes"}, [], ("300_demonstration",)),
    User(242, "erin", "Erin Ericson", "demonstration", {"user": "yes"}, [], ("301_demonstration",)),
    User(243, "frank", "Frank Floor", "company_c_540", {"user": "yes"}, [], ("400_company_c_540",)),
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
    growing: bool = False

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return len(self.head) + self.length

    def row(self) -> bytes:
        """Return its row in a listing."""
        members = ("file", "start", "duration", "caller", "callee", "size")
        return json.dumps({name: getattr(self, name) for name in members}).encode()


class Model:
    """The PBX's data; every method may be called from any thread."""

    def __init__(self, media: Media, zone: ZoneInfo, seed: int) -> None:
        self.media = media
        self.zone = zone
        self.random = random.Random(seed)
        self.lock = threading.RLock()
        self.calls: dict[tuple[str, str], Call] = {}
        self.offset = 0.0
        self.key_works = True
        self.managed = list(MANAGED)
        self._rows: dict[Call, bytes] = {}
        self._hashes: dict[tuple[Call, int], str] = {}
        rounds = (media.directory / "rounds").read_text().split()
        self._rounds = {name: int(size) for name, size in (part.split("=") for part in rounds)}

    def now(self) -> float:
        """Return the PBX's time, seconds since the epoch."""
        return time.time() + self.offset

    def add(
        self, company: str, start: int, seconds: float, codec: str, caller: str, callee: str
    ) -> Call:
        """Add a finished call; a second one of the same name begins a second later."""
        with self.lock:
            kind = CODECS[codec]
            ending = ".mp3" if codec == "mp3" else ".wav"
            while True:
                local = datetime.fromtimestamp(start, UTC).astimezone(self.zone)
                file = f"{local:%Y.%m.%d.%H.%M.%S}-{start}-{caller}-{callee}{ending}"
                if (company, file) not in self.calls:
                    break
                start -= 1
            length = kind.data_bytes(min(seconds, kind.longest))
            blocks = self._rounds[codec] // kind.block
            call = Call(
                company, file, start, round(seconds), caller, callee, codec,
                self.random.randrange(blocks) * kind.block, length, kind.head(file, length),
                (local.year, local.month, local.day, local.hour),
            )  # fmt: skip
            self.calls[company, file] = call
            return call

    def offered(self, company: str | None = None) -> list[Call]:
        """Return what is not too old, oldest first."""
        with self.lock:
            now = self.now()
            found = [
                call
                for call in self.calls.values()
                if now - KEPT <= call.start <= now and company in (None, call.company)
            ]
        return sorted(found, key=lambda call: (call.start, call.file))

    def rows(self, company: str, bucket: tuple[int, ...]) -> list[bytes]:
        """Return the rows of a listing; `bucket` is year, month, day, hour, as far as given."""
        length = len(bucket)
        calls = [call for call in self.offered(company) if call.stamp[:length] == bucket]
        with self.lock:
            return [
                self._rows.get(call) or self._rows.setdefault(call, call.row()) for call in calls
            ]

    def find(self, file: str, company: str | None) -> Call | None:
        """Return the call whose recording has this name, if it is still offered."""
        with self.lock:
            if company is not None:
                call = self.calls.get((company, file))
            else:
                call = next((c for c in self.calls.values() if c.file == file), None)
        now = self.now()
        return call if call is not None and now - KEPT <= call.start <= now else None

    def sha256(self, call: Call) -> str:
        """Return the hash of what is served for a call."""
        key = (call, call.size)
        if key not in self._hashes:
            digest = hashlib.sha256(call.head)
            at, end = call.offset, call.offset + call.length
            while at < end:
                piece = os.pread(self.media.descriptors[call.codec], min(1 << 20, end - at), at)
                digest.update(piece)
                at += len(piece)
            self._hashes[key] = digest.hexdigest()
        return self._hashes[key]

    def change(self, call: Call, seconds: float, *, growing: bool = False) -> None:
        """Let a call have another length from now on, or be still in progress."""
        with self.lock:
            kind = CODECS[call.codec]
            call.duration = round(seconds)
            call.length = kind.data_bytes(seconds)
            call.growing = growing
            call.head = kind.head(call.file, call.length, growing=growing)
            self._rows.pop(call, None)


def parties(chance: random.Random, company: str) -> tuple[str, str]:
    """Return a caller and a callee of a call of this company."""
    own = [ext for user in USERS if user.company == company for ext in user.extensions]
    inside = chance.choice(own or ["200"])
    other = chance.choice(OUTSIDE if chance.random() < 0.8 else own or OUTSIDE)
    pair = (inside, other) if chance.random() < 0.5 else (other, inside)
    return (pair[0].lstrip("+"), pair[1].lstrip("+")) if chance.random() < 0.1 else pair


def fill_small(model: Model) -> None:
    """A dozen short calls in every codec, for tests."""
    model.managed = ["default", "demonstration"]
    begin = int(model.now()) - 3 * 3600
    codecs = [*CODECS, *CODECS]
    for number, codec in enumerate(codecs):
        company = model.managed[number % 2 if number < 6 else (number + 1) % 2]
        caller, callee = parties(model.random, company)
        model.add(company, begin + 600 * number, 1 + number % 4, codec, caller, callee)
    model.add("default", begin + 60, 0, "pcm", "200", "busy")


def fill_demo(model: Model, count: int) -> None:
    """Three weeks of working days; most calls are µ-law of some minutes."""
    now = int(model.now())
    codecs = ["ulaw"] * 12 + ["alaw", "pcm", "stereo", "gsm", "mp3", "ulaw"]
    for number in range(count):
        day = now - model.random.randrange(20) * 86400
        start = day - day % 86400 + 8 * 3600 + model.random.randrange(9 * 3600)
        start -= 86400 if start > now - 7200 else 0
        company = model.random.choice(["default"] * 3 + ["demonstration"] * 2 + ["company_c_540"])
        caller, callee = parties(model.random, company)
        codec = codecs[number % len(codecs)]
        seconds = min(900.0, 2 + model.random.expovariate(1 / 120))
        if number == 1:
            seconds, codec = 7200.0, "ulaw"
        elif number % 25 == 7:
            seconds = 0.0
        model.add(company, start, seconds, codec, caller, callee)


def fill_bench(model: Model, count: int, mix: str) -> None:
    """One company; every call four minutes of µ-law, or a mix of lengths and codecs."""
    model.managed = ["default"]
    now = int(model.now())
    for number in range(count):
        seconds, codec = 240.0, "ulaw"
        if mix == "mixed":
            seconds = min(1200.0, 2 + model.random.expovariate(1 / 150))
            codec = model.random.choice(["ulaw"] * 18 + ["pcm", "alaw"])
        start = now - 86400 - number * 37
        model.add("default", start, seconds, codec, "200", f"01632{960000 + number % 1000}")
