"""The demo without a person: is everything stored that the PBX offers, and does it play?

What a person does in a browser is done over HTTP; what comes is compared with what the PBX serves.
"""

import hashlib
import http.client
import io
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from devtools.demo_watch import Watch
from simulators.pbx import client
from simulators.pbx.model import USERS

PATIENCE = 120.0  # seconds without any progress
NEW = 5  # calls that appear during the check
STORED = """
SELECT c.name, r.remote_id, r.id FROM recording r JOIN company c ON c.id = r.company_id
 WHERE r.state = 'stored' AND r.next_try_at IS NULL
"""
WHY = """
SELECT coalesce(last_error, 'not tried yet') || ' (' || count(*) || ')' FROM recording
 WHERE next_try_at IS NOT NULL GROUP BY last_error ORDER BY count(*) DESC LIMIT 3
"""


@dataclass
class Answer:
    """An HTTP answer with its whole body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Browser:
    """Keeps cookies, follows nothing."""

    address: str
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        """Send one request."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=60)
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []):
                name, _, value = cookie.split(";")[0].partition("=")
                self.cookies[name] = value
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def send(self, page: str, action: str, **fields: str) -> Answer:
        """Send a form that stands on `page`."""
        found = re.search(rb'name="csrf" value="(\w+)"', self.ask("GET", page).body)
        token = found[1].decode() if found else ""
        return self.ask("POST", action, urlencode({"csrf": token, **fields}))


@dataclass
class Tally:
    """Counts what holds and what does not, and says each in words."""

    say: Callable[[str], None]
    passed: int = 0
    failed: int = 0

    def expect(self, holds: bool, what: str, instead: object = "") -> None:
        """Count one check; `instead` is what was found where it does not hold."""
        self.passed += holds
        self.failed += not holds
        self.say(f"passed: {what}" if holds else f"FAILED: {what}: {instead}")


def check(
    pbx: client.Running, web: str, password: str, watch: Watch, directory: Path,
    turn: Callable[[], None],
) -> int:  # fmt: skip
    """Run all checks; `turn` lets the demo go on for a second. Return the exit status.

    `directory` has the archive and the mails.
    """
    tally, browser, db = Tally(watch.say), Browser(web), watch.db
    offered = _offered(pbx)
    _all_stored(tally, db, offered, turn)
    stranger = browser.ask("GET", "/")
    tally.expect(stranger.status == 303, "a stranger is sent to the login", stranger.status)
    fields = {"pbx": "admin", "name": "sysadmin", "password": password}
    home = browser.send("/login", "/login", **fields)
    tally.expect(home.status == 303, "sysadmin logs in to the web UI", home.status)
    pbx.control("add_calls", company="default", count=NEW, ago_s=600)
    offered = _offered(pbx)
    number = (db.execute("SELECT min(id) FROM pbx").fetchone() or (0,))[0]
    asked = browser.send(f"/pbxs/{number}", f"/pbxs/{number}/poll")
    tally.expect(asked.status == 303, "'Poll now' is accepted", asked.status)
    _all_stored(tally, db, offered, turn)
    stored = {(company, file): id for company, file, id in db.execute(STORED)}
    _play(tally, browser, offered, stored)
    _user(tally, web, offered, stored)
    _export(tally, browser, db, turn)
    _repair(tally, browser, db, directory, turn)
    watch.line(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


def _offered(pbx: client.Running) -> dict[tuple[str, str], dict[str, Any]]:
    calls = pbx.control("offered")["calls"]
    return {(call["company"], call["file"]): call for call in calls}


def _all_stored(
    tally: Tally,
    db: psycopg.Connection[Any],
    offered: dict[tuple[str, str], dict[str, Any]],
    turn: Callable[[], None],
) -> None:
    missing, moved = len(offered), time.monotonic()
    while missing and time.monotonic() - moved < PATIENCE:
        turn()
        rows = db.execute(STORED).fetchall()
        now = len(offered.keys() - {(company, file) for company, file, _ in rows})
        if now != missing:
            missing, moved = now, time.monotonic()
    why = "; ".join(row[0] for row in db.execute(WHY).fetchall())
    what = f"all {len(offered)} recordings that the PBX offers are stored"
    tally.expect(missing == 0, what, f"{missing} are not: {why or 'not listed'}")


def _play(
    tally: Tally,
    browser: Browser,
    offered: dict[tuple[str, str], dict[str, Any]],
    stored: dict[tuple[str, str], Any],
) -> None:
    """Download the longest recording of each codec, and seek in each as a player does."""
    longest: dict[str, dict[str, Any]] = {}
    for call in sorted(offered.values(), key=lambda call: int(call["size"])):
        longest[call["codec"]] = call
    for codec, call in sorted(longest.items()):
        path = f"/recordings/{stored.get((call['company'], call['file']))}"
        original = browser.ask("GET", f"{path}/original")
        digest = hashlib.sha256(original.body).hexdigest()
        what = f"a {codec} recording of {call['duration']} s is downloaded byte for byte"
        found = f"status {original.status}, {len(original.body)} bytes, SHA-256 {digest}"
        tally.expect(digest == call["sha256"], what, found)
        head = browser.ask("GET", f"{path}/audio", Range="bytes=0-3")
        size = int(head.headers.get("Content-Range", "/0").rpartition("/")[2])
        part = browser.ask("GET", f"{path}/audio", Range=f"bytes={size // 2}-{size // 2 + 999}")
        same = size != len(original.body) or part.body in original.body[size // 2 :][:1000]
        tally.expect(
            part.status == 206 and len(part.body) == 1000 and same,
            f"the player seeks to the middle of its {size} bytes",
            f"status {part.status}, {len(part.body)} bytes",
        )
    _refused(tally, browser, f"{path}/audio")


def _user(
    tally: Tally,
    web: str,
    offered: dict[tuple[str, str], dict[str, Any]],
    stored: dict[tuple[str, str], Any],
) -> None:
    """Find and hear calls as a user of the PBX, who took part in some of them."""
    alice, browser = USERS[0], Browser(web)
    fields = {"pbx": "Demo", "name": alice.login, "password": alice.password}
    answer = browser.send("/login", "/login", **fields)
    tally.expect(
        answer.status == 303, f"{alice.login} logs in with her PBX password", answer.status
    )
    own = {
        str(stored[key])
        for key, call in offered.items()
        if {call["caller"], call["callee"]} & {*alice.extensions}
    }
    rows = browser.ask("GET", "/calls.csv").body.decode()
    found = {str(call) for call in stored.values() if str(call) in rows}
    what = f"she finds the {len(own)} calls that she took part in, and no other"
    tally.expect(found == own, what, f"{len(found)}, of which {len(found & own)} are hers")
    heard = browser.ask("GET", f"/recordings/{min(own)}/audio", Range="bytes=0-99").status
    tally.expect(heard == 206, "she hears one of them", heard)
    others = min(str(call) for call in stored.values() if str(call) not in own)
    refused = browser.ask("GET", f"/recordings/{others}/audio").status
    tally.expect(refused == 404, "a call of somebody else does not exist for her", refused)


def _export(
    tally: Tally, browser: Browser, db: psycopg.Connection[Any], turn: Callable[[], None]
) -> None:
    """Have all calls of a company prepared, and fetch them in two parts."""
    company = (db.execute("SELECT min(company_id) FROM recording_audio").fetchone() or (0,))[0]
    page = f"/companies/{company}/exports"
    asked = browser.send(page, page).status
    tally.expect(asked == 303, "an export of a company is asked for", asked)
    query = "SELECT id, state::text, calls FROM export WHERE company_id = %s"
    row, until = None, time.monotonic() + PATIENCE
    while (row is None or row[1] == "preparing") and time.monotonic() < until:
        turn()
        row = db.execute(f"{query} ORDER BY asked_at DESC LIMIT 1", [company]).fetchone()
    path = f"{page}/{row[0] if row else ''}/archive.zip"
    first = browser.ask("GET", path, Range="bytes=0-999999")
    tag = first.headers.get("ETag", "")
    rest = browser.ask("GET", path, **{"Range": "bytes=1000000-", "If-Range": tag})
    try:
        with zipfile.ZipFile(io.BytesIO(first.body + rest.body)) as archive:
            bad = archive.testzip()
            found = sum(name.startswith("recordings/") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        found, bad = 0, str(error)
    known = row[2] if row else -1
    what = f"its {known} calls are fetched in two parts as one whole archive"
    tally.expect(bad is None and found == known, what, f"{found} calls, {bad}")


def _repair(
    tally: Tally,
    browser: Browser,
    db: psycopg.Connection[Any],
    directory: Path,
    turn: Callable[[], None],
) -> None:
    """Lose a stored file: it is missed, told of, and fetched again."""
    lost = max((directory / "archive").rglob("*.csrec"), key=lambda path: path.stat().st_mtime)
    lost.unlink()
    page = "/housekeeping"
    asked = browser.send(page, f"{page}/sweep").status
    tally.expect(asked == 303, "a stored file is lost; 'Compare files now' is accepted", asked)
    row, until = None, time.monotonic() + PATIENCE
    query = "SELECT kind::text, ended_by::text FROM damage WHERE path LIKE '%%' || %s"
    while (row is None or row[1] is None) and time.monotonic() < until:
        turn()
        row = db.execute(query, [lost.name]).fetchone()
    tally.expect(row == ("missing", "fetched"), "it is missed and fetched again", row)
    told, until = False, time.monotonic() + PATIENCE
    while not told and time.monotonic() < until:
        turn()
        told = any(b"recording is damaged" in m.read_bytes() for m in directory.glob("mails/*"))
    tally.expect(told, "the administrator was mailed")


def _refused(tally: Tally, browser: Browser, path: str) -> None:
    stranger = Browser(browser.address).ask("GET", path)
    tally.expect(stranger.status == 401, "a stranger hears nothing", stranger.status)
