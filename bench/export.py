"""How fast a company's recordings leave: encrypted beside `cp -r` of the same files, and as WAV
beside `openssl enc -d` of as many bytes.

CallStash compares the SHA-256 of every file, writes the table, and signs; for WAV it also unwraps
each key, authenticates and decodes. cp and openssl do none of that. All of them end when it is on
the disk. A ratio is their time over ours: more than 1 means that CallStash is faster.
"""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.archive import ARCHIVERS, callstash, installation
from devtools.installation import Installation
from devtools.stack import run_directory
from simulators.pbx import client

CALLS, ROUNDS = 600, 3  # calls of 4 minutes
KEY = ("-K", "11" * 32, "-iv", "22" * 16)


def timed(run: Callable[[], object]) -> float:
    """Return the seconds until what it writes is on the disk."""
    os.sync()
    begun = time.perf_counter()
    run()
    os.sync()
    return time.perf_counter() - begun


def export(ours: Installation, company: str, target: Path, *options: str) -> None:
    """Export the company, from nothing."""
    ours.tool("export", f"--company={company}", *options, str(target))


def cipher(source: Path, target: Path, *options: str) -> None:
    """Encrypt or decrypt a file."""
    subprocess.run(
        ["openssl", "enc", *options, "-aes-256-ctr", *KEY, "-in", source, "-out", target],
        check=True,
    )


def openssl(sources: list[Path], target: Path) -> None:
    """Decrypt each file with a process of its own, as a script does."""
    target.mkdir()
    for source in sources:
        cipher(source, target / source.name, "-d")


def compare(ours: Installation, directory: Path) -> None:
    """Measure the four in turn and print medians and ratios."""
    with ours.connect() as db:
        row = db.execute(
            "SELECT c.id, c.name, sum(a.file_size) FROM recording_audio a JOIN company c"
            " ON c.id = a.company_id GROUP BY c.id ORDER BY 3 DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    company, size = str(row[1]), int(row[2])
    files, wav = ours.archive / str(row[0]), directory / "first"
    export(ours, company, wav, "--wav")
    sources = directory / "sources"
    sources.mkdir()
    for file in wav.rglob("*.wav"):
        cipher(file, sources / file.name)
    plain = sum(file.stat().st_size for file in sources.iterdir())
    target = directory / "target"
    contenders: dict[str, Callable[[], object]] = {
        "export": lambda: export(ours, company, target),
        "cp": lambda: subprocess.run(["cp", "-r", files, target], check=True),
        "export --wav": lambda: export(ours, company, target, "--wav"),
        "openssl": lambda: openssl(sorted(sources.iterdir()), target),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            seconds[name].append(timed(run))
            shutil.rmtree(target)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        mb = (size if name in ("export", "cp") else plain) / 1e6
        print(f"  {name:12} {value:6.2f} s {mb / value:6.0f} MB/s")
    print(f"ratio export_vs_cp {middle['cp'] / middle['export']:.2f}")
    print(f"ratio export_wav_vs_openssl {middle['openssl'] / middle['export --wav']:.2f}")


def main() -> None:
    """Fill an archive and compare."""
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    simulated = client.start("--scenario", "bench", "--mix", "uniform", "--calls", str(CALLS))
    try:
        with installation(directory, simulated.url) as ours:
            for name in ("poller", *(f"archiver@{n + 1}" for n in range(ARCHIVERS))):
                ours.start(name)
            callstash(ours, len(simulated.control("offered")["calls"]))
            ours.stop()
            compare(ours, directory)
    finally:
        simulated.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
