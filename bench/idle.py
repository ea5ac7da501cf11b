"""What a CallStash at rest costs: memory (PSS of all processes) and processor time."""

import os
import shutil
import time
from pathlib import Path

from bench.archive import ARCHIVERS, callstash, installation
from devtools.process import free_port
from devtools.stack import run_directory
from simulators.pbx import client

SECONDS = 60
WORDS = (
    "daemons.poller", "daemons.archiver", "daemons.housekeeper", "daemons.notifier",
    "daemons.raidmon", "daemons.backupd", "gunicorn", "postgres", "beam", "epmd",
)  # fmt: skip


def family(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except FileNotFoundError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def pss(pid: int) -> int:
    """Return the proportional set size in bytes (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def kind(pid: int) -> str:
    """Return what a process is called in the table."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
    for word in WORDS:
        if word in command:
            return word
    return "other"


def main() -> None:
    """Archive something, wait for rest, then print memory and processor time of SECONDS."""
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    pbx = client.start("--scenario", "small")
    try:
        with installation(directory, pbx.url) as ours:
            others = ("poller", "housekeeper", "notifier", "raidmon", "backupd")
            for name in (*others, *(f"archiver@{n + 1}" for n in range(ARCHIVERS))):
                ours.start(name)
            ours.start_web(f"127.0.0.1:{free_port()}")
            callstash(ours, len(pbx.control("offered")["calls"]))
            pbx.stop()
            pids = [pid for pid in family(os.getpid()) if kind(pid) != "other"]
            before = {pid: cpu(pid) for pid in pids}
            time.sleep(SECONDS)
            memory: dict[str, int] = {}
            used: dict[str, float] = {}
            for pid in pids:
                memory[kind(pid)] = memory.get(kind(pid), 0) + pss(pid)
                used[kind(pid)] = used.get(kind(pid), 0.0) + cpu(pid) - before[pid]
            for name in sorted(memory):
                share = 100 * used[name] / SECONDS
                print(f"{name:18} {memory[name] / 1e6:7.1f} MB  {share:5.2f} % of one core")
            print(f"idle_memory_mb {sum(memory.values()) / 1e6:.0f}")
            print(
                f"idle_cpu_percent {100 * sum(used.values()) / SECONDS / (os.cpu_count() or 1):.2f}"
            )
    finally:
        pbx.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
