"""What deleting costs: 100,000 expired recordings out of 1,000,000, beside rm of the same files.

`ratio purge_vs_rm`: the time of rm, which knows nothing of rows, keys and tombstones, over ours.
And the same deletion where ten times fewer recordings are kept: it should cost as much.
"""

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from common import db as database
from common.store import Store
from daemons.housekeeper.purge import Purge
from devtools.setup import VAR
from devtools.stack import Stack, run_directory

EXPIRED, KEPT, SIZE = 100_000, (100_000, 1_000_000), 4096
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

FILL = (
    "INSERT INTO pbx (name, url, token_sealed, timezone, keep_months)"
    " VALUES ('Bench', 'https://pbx.example.com', 'x', 'UTC', 12)",
    "INSERT INTO poll (pbx_id, trigger, state, finished_at)"
    " VALUES (10, 'first', 'finished', now())",
    "INSERT INTO company (pbx_id, name, label, created_at)"
    " SELECT 10, n::text, n::text, now() - interval '9 years' FROM generate_series(1, 50) n",
    "INSERT INTO company_key (company_id, version, kid, public_key)"
    " SELECT id, 1, lpad(to_hex(id), 16, '0'), 'x' FROM company",
    "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
    " duration, caller, callee, caller_name, stored_at) SELECT gen_random_uuid(), 10,"
    " 201 + n %% 50, n::text, 1, 'stored', %(now)s - CASE WHEN n <= %(expired)s"
    " THEN interval '400 days'"
    " + n * interval '4 minutes' ELSE n * interval '20 seconds' END, 240, (200 + n %% 90)::text,"
    " '01632' || 960000 + n %% 1000, 'Alice Archer', now() FROM generate_series(1, %(all)s) n",
    "INSERT INTO recording_audio SELECT id, company_id, 1, 0, sha256(id::text::bytea), %(size)s,"
    " sha256('f'), 4000, sha256('a'), 'audio/wav', 'ulaw', 1, 8000, 240, 44, 3900 FROM recording",
    "INSERT INTO pbx_user (pbx_id, remote_id) SELECT 10, n::text FROM generate_series(0, 89) n",
    "INSERT INTO recording_owner SELECT id, 1 + (caller::int - 200), started_at FROM recording",
    "INSERT INTO company_usage SELECT company_id, 1, count(*), count(*) * %(size)s FROM recording"
    " GROUP BY 1",
    "INSERT INTO purge_permit (calls, granted_by, granted_at) VALUES (%(all)s, 'bench', %(now)s)",
)


class Silent:
    """Stands where the purge gets its process."""

    def doing(self, what: str) -> None:
        """Say nothing."""


def files(db: psycopg.Connection[tuple[object, ...]], root: Path) -> None:
    """Write the files of what has expired, as the archive lays them out."""
    store, data = Store(root), os.urandom(SIZE)
    rows = db.execute(
        "SELECT company_id, started_at, id FROM recording WHERE started_at < %s",
        [NOW - timedelta(days=399)],
    ).fetchall()
    for company, started, recording in rows:
        path = store.path(company, started, recording)  # type: ignore[arg-type]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.sync()


def rm(root: Path) -> float:
    """Return the seconds that find and rm take."""
    begun = time.perf_counter()
    subprocess.run(["find", str(root), "-type", "f", "-exec", "rm", "{}", "+"], check=True)
    os.sync()
    return time.perf_counter() - begun


def purge(dsn: str, root: Path) -> float:
    """Return the seconds that the housekeeper takes."""
    with database.connect(dsn, "housekeeper") as db:
        house = Purge(db, Store(root), lambda: NOW, clock(2), ZoneInfo("UTC"), 20)
        begun = time.perf_counter()
        while house.turn(Silent()):  # type: ignore[arg-type]
            pass
        os.sync()
        took = time.perf_counter() - begun
    left = sum(1 for _ in root.rglob("*.csrec"))
    assert left == 0, left
    return took


def main() -> None:
    """Print both times, their ratio, and what ten times more kept recordings change."""
    directory = run_directory(VAR / "bench")
    stack = Stack(directory / "stack", fsync=True)
    stack.postgres.start()
    spent = {}
    try:
        for kept in KEPT:
            name = f"bench_{kept}"
            with stack.postgres.connect() as server:
                server.execute(f"CREATE DATABASE {name}")
            with stack.postgres.connect(name) as db:
                database.migrate(db)
                with psycopg.ClientCursor(db) as cursor:
                    for query in FILL:
                        arguments = {"now": NOW, "expired": EXPIRED, "all": EXPIRED + kept,
                                     "size": SIZE}  # fmt: skip
                        cursor.execute(query, arguments)
                db.execute("VACUUM ANALYZE")
                for tree in ("ours", "theirs"):
                    (directory / tree).mkdir()
                    files(db, directory / tree)
                db.execute("CHECKPOINT")
            theirs = rm(directory / "theirs")
            spent[kept] = purge(stack.postgres.dsn(name), directory / "ours")
            rate = EXPIRED / spent[kept]
            print(f"{kept:,} kept: {spent[kept]:.1f} s, {rate:,.0f} a second; rm {theirs:.1f} s")
            print(f"ratio purge_vs_rm {theirs / spent[kept]:.2f}")
            for tree in ("ours", "theirs"):
                shutil.rmtree(directory / tree)
        print(f"ratio purge_1000000_vs_100000 {spent[KEPT[1]] / spent[KEPT[0]]:.2f}")
    finally:
        stack.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
