"""What a poll with 100 new recordings costs as the archive grows: it should not depend on its
size."""

import shutil
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.archive import installation
from common import db
from devtools.installation import Installation
from devtools.stack import run_directory
from simulators.pbx import client

SIZES = (1_000, 100_000, 1_000_000)
NEW = 100
ROUNDS = 5


def grow(ours: Installation, size: int) -> None:
    """Add stored recordings of the last years, in bulk, until there are `size`."""
    with ours.connect() as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(
            "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
            " duration, caller, callee, listed_size, stored_at)"
            " SELECT gen_random_uuid(), 10, (SELECT min(id) FROM company), 'old-' || n,"
            " (SELECT min(id) FROM poll), 'stored', now() - n * interval '1 minute', 240,"
            " (200 + n %% 50)::text, '01632' || (960000 + n %% 1000), 1920000, now()"
            " FROM generate_series((SELECT count(*) FROM recording) + 1, %s) n",
            [size],
        )
        connection.execute(
            "INSERT INTO recording_audio SELECT id, company_id, 1, 0, '', 1, sha256(''), 1,"
            " sha256(''), 'audio/wav', 'ulaw', 1, 8000, 240, 58, 1920000, NULL FROM recording r"
            " WHERE state = 'stored' AND NOT EXISTS"
            " (SELECT FROM recording_audio a WHERE a.recording_id = r.id)"
        )
        connection.execute("VACUUM ANALYZE recording, recording_audio")


def poll(ours: Installation, pbx: client.Running) -> float:
    """Offer NEW recordings, poll, and return the seconds until the last of them is stored."""
    pbx.control("add_calls", company="default", count=NEW, ago_s=600)
    with ours.connect() as connection:
        before = datetime.now(UTC)
        ours.tool("poll-now", "10")
        seconds = 0.0
        while True:
            row = connection.execute(
                "SELECT coalesce(sum(t.stored), 0), extract(epoch FROM clock_timestamp() -"
                " min(p.started_at)), bool_and(p.finished_at IS NOT NULL) FROM poll p"
                " LEFT JOIN poll_tally t ON t.poll_id = p.id WHERE p.started_at >= %s",
                [before],
            ).fetchone()
            assert row is not None
            if row[0] >= NEW and not seconds:
                seconds = float(row[1])
            if seconds and row[2]:
                return seconds
            time.sleep(0.005)


def main() -> None:
    """Print the median seconds of a poll at each size, and the ratio of the largest to the
    smallest.
    """
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    pbx = client.start("--scenario", "small")
    try:
        with installation(directory, pbx.url) as ours:
            ours.start("poller")
            ours.start("archiver@1")
            middle = {}
            poll(ours, pbx)
            with ours.connect() as connection:
                db.check_schema(connection)
            for size in SIZES:
                grow(ours, size)
                middle[size] = statistics.median(poll(ours, pbx) for _ in range(ROUNDS))
                print(
                    f"{size:9,} recordings: a poll with {NEW} new ones takes {middle[size]:.2f} s"
                )
            print(f"ratio poll_large_vs_small {middle[SIZES[-1]] / middle[SIZES[0]]:.2f}")
    finally:
        pbx.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
