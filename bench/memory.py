"""The most memory that an archiver ever takes, for a call of 2 seconds and for one of 1 GB."""

import shutil
from pathlib import Path

from bench.archive import callstash, installation
from devtools.stack import run_directory
from simulators.pbx import client

CALLS = {"1gb": (1 << 30) / 8000, "2s": 2.0}  # seconds of µ-law; a first poll lists the long one


def peak(pid: int) -> float:
    """Return the peak resident memory of a process in MB, shared libraries included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no VmHWM")


def main() -> None:
    """Print the peak for each call, the archiver started anew."""
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    pbx = client.start("--scenario", "bench", "--calls", "0")
    try:
        with installation(directory, pbx.url) as ours:
            ours.start("poller")
            for count, (name, seconds) in enumerate(CALLS.items(), 1):
                pbx.control("add_calls", company="default", count=1, seconds=seconds, codec="ulaw",
                            ago_s=600)  # fmt: skip
                archiver = f"archiver@{count}"
                ours.start(archiver)
                callstash(ours, count)
                print(f"archiver_peak_mb_{name} {peak(ours.daemons[archiver].pid):.0f}")
                ours.kill(archiver)
                del ours.daemons[archiver]
    finally:
        pbx.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
