"""How long each page of the administrators takes with 1 million recordings and 500 companies.

Beside each stands its ratio to an empty page: the one that says that something does not exist.
"""

import http.client
import re
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask

from bench.archive import installation
from common import passwords
from common.db import Connection
from devtools.installation import Installation
from devtools.process import free_port
from devtools.stack import run_directory
from webui import create_app
from webui.settings import Settings

COMPANIES, RECORDINGS, POLLS, DEEDS, WAITING = 500, 1_000_000, 400, 1_000_000, 20_000
ASKED = 60  # times for each page
PASSWORD = "Tall-Heron-41"
NOT_PAGES = re.compile(r"/(audio|original|wav|peaks|static/.*|logout|login.*|activate)$|\.csv$")
NOTHING = "/nothing"


def fill(db: Connection) -> None:
    """Write the rows of a large archive: three PBXs, few companies with most of the calls."""
    for query in (
        "SET synchronous_commit = off",
        "INSERT INTO licence (document, serial, pbxs, activated, support_until)"
        " VALUES ('{}', '1', 3, now(), now() + interval '1 year')",
        "INSERT INTO pbx (name, url, token_sealed, timezone) SELECT 'PBX ' || n,"
        " 'https://pbx' || n || '.example.com', 'x', 'Europe/London' FROM generate_series(1, 3) n",
        "INSERT INTO company (pbx_id, name, label, listed_until) SELECT 10 + n % 3,"
        " 'company_' || n, 'Company ' || n, now()"
        f" FROM generate_series(1, {COMPANIES}) n",
        "INSERT INTO company_key (company_id, version, kid, public_key)"
        " SELECT id, 1, lpad(to_hex(id), 16, '0'), '' FROM company",
        "INSERT INTO poll (pbx_id, trigger, state, started_at, listed_at, finished_at)"
        " SELECT 10 + n % 3, 'schedule', 'finished', t, t, t + interval '1 minute' FROM"
        f" (SELECT n, now() - ({POLLS} - n) * interval '8 hours' AS t"
        f" FROM generate_series(1, {POLLS}) n) polls",
        "INSERT INTO poll_company (poll_id, company_id, polled, new, failed)"
        " SELECT p.id, c.id, 20, 10, 0 FROM poll p JOIN company c ON c.pbx_id = p.pbx_id",
        "INSERT INTO poll_tally SELECT poll_id, company_id, 1, new, 0, new * 1920000, now()"
        " FROM poll_company",
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
        " duration, caller, callee, direction, listed_size, stored_at)"
        " SELECT gen_random_uuid(), c.pbx_id, c.id, n::text, 1, 'stored',"
        " now() - n * interval '90 seconds', 240, (200 + n % 50)::text || ' Alice Example',"
        " '+44 1632 ' || (960000 + n % 100000), 'outbound', 1920058, now()"
        f" FROM generate_series(1, {RECORDINGS}) n JOIN company c"
        f" ON c.id = 201 + floor({COMPANIES} * power((n::bigint * 7919 % 100003) / 100003.0, 3))",
        "INSERT INTO recording_audio SELECT id, company_id, 1, 0, sha256(id::text::bytea),"
        " 1921466, sha256('f'), 1920058, sha256('a'), 'audio/wav', 'ulaw', 1, 8000, 240, 58,"
        " 1920000, NULL FROM recording",
        "INSERT INTO company_usage SELECT company_id, 1, count(*), count(*) * 1921466"
        " FROM recording GROUP BY company_id",
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at, duration,"
        " caller, callee, next_try_at, waiting, last_error)"
        " SELECT gen_random_uuid(), 10, (SELECT min(id) FROM company WHERE pbx_id = 10),"
        " 'w' || n, 1, now() - n * interval '1 minute', 240, '201', '202', now(), 'disk_full',"
        f" 'the disk is full' FROM generate_series(1, {WAITING}) n",
        "INSERT INTO audit (at, actor, action, subject, detail, address)"
        f" SELECT now() - ({DEEDS} - n) * interval '30 seconds',"
        " CASE WHEN n % 9 = 0 THEN 'admin' ELSE 'sysadmin' END,"
        " (ARRAY['login', 'recording.play', 'pbx.poll_now', 'login.failed'])[1 + n % 4],"
        " 'pbx:' || 10 + n % 3, jsonb_build_object('view', n::text), '192.0.2.7'"
        f" FROM generate_series(1, {DEEDS}) n",
        "INSERT INTO legal_hold (name, reason, company_id, number, party, created_by)"
        " SELECT 'hold ' || n, 'x', CASE WHEN n % 3 = 0 THEN 201 + n END,"
        " CASE WHEN n % 3 = 1 THEN '44163296' || 1000 + n END,"
        " CASE WHEN n % 3 = 2 THEN 'alice' END, 'sysadmin' FROM generate_series(1, 50) n",
        "INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at)"
        " SELECT n, 'poller.poll_now.v1', '{}', 'callstash.poller', 'rejected', now()"
        " FROM generate_series(1, 200) n",
        "INSERT INTO daemon_status SELECT 'archiver@' || n, '0.1', now(), now(), 'resting'"
        " FROM generate_series(1, 8) n",
        "INSERT INTO mail_server (host, port, security, saved_by)"
        " VALUES ('mail.example.com', 25, 'plain', 'sysadmin')",
        "UPDATE general_settings SET sender = 'box@example.com', users_may_mail_links = true",
        "VACUUM ANALYZE",
    ):
        db.execute(query)


def pages(ours: Installation, db: Connection) -> list[str]:
    """Return the address of every page of the URL map, with things that exist."""
    app: Flask = create_app(
        Settings(ours.dsn, ours.broker, ours.archive, timezone="Europe/London"), ours.master
    )
    row = db.execute(
        "SELECT r.id, r.company_id, r.pbx_id, r.poll_id FROM recording r"
        " WHERE state = 'stored' ORDER BY started_at DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    known = {
        "recording_id": row[0],
        "company_id": row[1],
        "pbx_id": row[2],
        "poll_id": db.execute("SELECT max(id) FROM poll WHERE pbx_id = %s", [row[2]]).fetchone()[0],  # type: ignore[index]
    }
    known["daemon"] = "archiver@1"
    known["hold_id"] = db.execute("SELECT max(id) FROM legal_hold").fetchone()[0]  # type: ignore[index]
    found = []
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not NOT_PAGES.search(rule.rule):
            names = re.findall(r"<(?:[^:>]+:)?(\w+)>", rule.rule)
            if all(name in known for name in names):
                found.append(re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda m: str(known[m[1]]), rule.rule))
    app.extensions["callstash"].database.close()
    return [NOTHING, *sorted(found)]


@dataclass
class Visitor:
    """A browser that keeps its connection and its cookie."""

    connection: http.client.HTTPConnection
    cookie: str = ""

    def ask(self, method: str, address: str, body: str | None = None) -> tuple[int, str]:
        """Send a request; return status and text."""
        headers = {"Cookie": self.cookie}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, address, body, headers)
        answer = self.connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            self.cookie = cookie.split(";")[0]
        return answer.status, answer.read().decode()

    def log_in(self) -> None:
        """Begin a session of sysadmin."""
        found = re.search(r'name="csrf" value="(\w+)"', self.ask("GET", "/login")[1])
        assert found is not None
        fields = {"csrf": found[1], "pbx": "admin", "name": "sysadmin", "password": PASSWORD}
        assert self.ask("POST", "/login", urlencode(fields))[0] == 303


def measure(visitor: Visitor, addresses: list[str]) -> dict[str, list[float]]:
    """Return the milliseconds of each visit, all pages in turn so that they share the weather."""
    spent: dict[str, list[float]] = {address: [] for address in addresses}
    for number in range(ASKED + 3):
        for address in addresses:
            begun = time.perf_counter()
            status, _ = visitor.ask("GET", address)
            assert status == (404 if address == NOTHING else 200), f"{address}: {status}"
            if number >= 3:  # the first visits fill caches
                spent[address].append(1000 * (time.perf_counter() - begun))
    return spent


def main() -> None:
    """Print the median and the 95th percentile of each page, and its ratio to the empty one."""
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    try:
        with installation(directory) as ours, ours.connect() as db:
            print(f"filling: {RECORDINGS:,} recordings, {COMPANIES} companies", flush=True)
            fill(db)
            passwords.set_password(db, "sysadmin", PASSWORD)
            port = free_port()
            ours.start_web(f"127.0.0.1:{port}")
            visitor = Visitor(connected(port))
            visitor.log_in()
            spent = measure(visitor, pages(ours, db))
            empty = _p95(spent[NOTHING])
            print(f"{'page':44} {'median':>8} {'p95':>8}  ratio to the empty page")
            for address, times in spent.items():
                print(
                    f"{address[:44]:44} {statistics.median(times):5.1f} ms {_p95(times):5.1f} ms"
                    f"  {_p95(times) / empty:.1f}"
                )
            print(f"slowest p95 {max(_p95(times) for times in spent.values()):.1f} ms (aim: 100)")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def connected(port: int) -> http.client.HTTPConnection:
    """Return a connection to a server that may be starting still."""
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
            return connection
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main()
