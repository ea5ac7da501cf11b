"""How fast recordings get from a PBX into the archive, beside tools that do less.

The same simulator serves the same files to CallStash with 4 archivers (which encrypts, hashes
twice, draws the waveform, fsyncs and keeps a database), to one curl that fetches four at a time in
the clear and then fsyncs each file, and to rclone with 4 transfers into a crypt remote. A ratio is
our rate over theirs: more than 1 means that CallStash is faster.
"""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from devtools.installation import Installation
from devtools.stack import Stack, run_directory
from simulators.pbx import client

ARCHIVERS = 4
ROUNDS = 3
CALLS = 1000  # enough that the start of a poll does not count


@contextmanager
def installation(directory: Path, url: str | None = None) -> Iterator[Installation]:
    """A CallStash of real processes with the PBX at `url`, if any, which it has not polled yet."""
    stack = Stack(directory / "stack", fsync=True)
    stack.start()
    try:
        with stack.postgres.connect() as connection:
            connection.execute("CREATE DATABASE callstash")
        ours = Installation(
            directory / "ours", stack.postgres.dsn("callstash"), stack.rabbitmq.url(),
            directory / "ours" / "companies",
            f'[backupd]\nbackup_directory = "{directory}/backup"\nwork = "{directory}/backupd"\n',
        )  # fmt: skip
        if url:
            ours.tool("add-pbx", "--name", "Bench", url, stdin=client.KEY)
        try:
            yield ours
        finally:
            ours.stop()
    finally:
        stack.stop()


def callstash(ours: Installation, calls: int) -> float:
    """Return the seconds from the start of the poll to the last recording stored."""
    ours.tool("poll-now", "10")
    with ours.connect() as connection:
        while True:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM recording_audio),"
                " extract(epoch FROM clock_timestamp() - min(started_at)) FROM poll"
            ).fetchone()
            assert row is not None
            if row[0] >= calls:
                return float(row[1])
            time.sleep(0.02)


def empty(ours: Installation) -> None:
    """Make it forget its recordings, so that the same ones are new again."""
    with ours.connect() as connection:
        while connection.execute("SELECT 1 FROM poll WHERE finished_at IS NULL").fetchone():
            time.sleep(0.1)
        connection.execute(
            "TRUNCATE recording, recording_audio, poll, poll_company, poll_tally, company_usage"
            " CASCADE"
        )
        connection.execute("UPDATE company SET listed_until = NULL, complete_at = NULL")
        connection.execute("CHECKPOINT")
    for company in ours.archive.glob("[0-9]*"):  # ext4 is slow for a while where much was removed
        company.rename(company.with_name(f"old-{time.monotonic_ns()}"))
    os.sync()


def curl(directory: Path, urls: list[str]) -> float:
    """Return the seconds that curl needs, fsyncs included."""
    fetch = directory / "curl.conf"
    fetch.write_text(
        "".join(f'url = "{url}"\noutput = "{directory}/{n}"\n' for n, url in enumerate(urls))
    )
    began = time.monotonic()
    subprocess.run(
        ["curl", "-sS", "--no-progress-meter", "--fail", "-Z", "--parallel-max", "4", "-K", fetch],
        check=True,
    )
    for number in range(len(urls)):
        with (directory / str(number)).open("rb") as file:
            os.fsync(file.fileno())
    return time.monotonic() - began


def rclone(directory: Path, plain: str) -> float:
    """Return the seconds that rclone needs to copy everything into a crypt remote."""
    config = directory / "rclone.conf"
    secret = subprocess.check_output(["rclone", "obscure", "bench"], text=True).strip()
    config.write_text(
        f"[pbx]\ntype = http\nurl = {plain}\n"
        f"[safe]\ntype = crypt\nremote = {directory}/crypt\npassword = {secret}\n"
    )
    began = time.monotonic()
    subprocess.run(
        ["rclone", "--config", config, "copy", "--transfers", "4", "pbx:", "safe:"], check=True
    )
    return time.monotonic() - began


def fresh(directory: Path) -> Path:
    """Return an empty directory for a rival, with nothing left to be written to the disk."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    os.sync()
    return directory


def compare(directory: Path, mix: str, calls: int) -> None:
    """Measure the three in turn, ROUNDS times, and print medians and ratios."""
    pbx = client.start("--scenario", "bench", "--mix", mix, "--calls", str(calls))
    directory = directory / mix
    directory.mkdir()
    try:
        offered = pbx.control("offered")["calls"]
        total = sum(call["size"] for call in offered)
        plain = f"{pbx.url}/plain/"
        urls = [plain + call["file"] for call in offered]
        with urlopen(plain) as listing:
            listing.read()
        with installation(directory / "callstash", pbx.url) as ours:
            for name in ("poller", *(f"archiver@{n + 1}" for n in range(ARCHIVERS))):
                ours.start(name)
            contenders: dict[str, Callable[[], float]] = {
                "callstash": lambda: callstash(ours, len(offered)),
                "curl": lambda: curl(fresh(directory / "curl"), urls),
                "rclone": lambda: rclone(fresh(directory / "rclone"), plain),
            }
            _print(mix, offered, total, _measure(contenders, ours))
    finally:
        pbx.stop()
        shutil.rmtree(directory)


def _measure(
    contenders: dict[str, Callable[[], float]], ours: Installation
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            seconds[name].append(run())
            if name == "callstash":
                empty(ours)
    return seconds


def _print(mix: str, offered: list[Any], total: int, seconds: dict[str, list[float]]) -> None:
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{mix}: {len(offered)} calls, {total / 1e6:.0f} MB, median of {ROUNDS}")
    for name, value in middle.items():
        rates = ", ".join(f"{len(offered) / each:.0f}" for each in seconds[name])
        mb = total / value / 1e6
        print(f"  {name:10} {len(offered) / value:6.0f} calls/s {mb:6.0f} MB/s  ({rates})")
    for rival in ("curl", "rclone"):
        print(f"ratio archive_vs_{rival} {middle[rival] / middle['callstash']:.2f} ({mix})")


def main() -> None:
    """Compare on 4-minute calls and on a mix of lengths."""
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    try:
        compare(directory, "uniform", CALLS)
        compare(directory, "mixed", CALLS)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
