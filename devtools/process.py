"""Child processes that never outlive us.

Each is ended by the kernel when its parent dies, and noted in a pid file with its start time, so
that a later run recognises and ends whatever is left in spite of that.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def spawn(
    arguments: Sequence[str],
    *,
    log: Path,
    pid_file: Path | None = None,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program that writes to `log`, in a session of its own: Ctrl-C is for us only."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", death_signal.name, "--", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            start_new_session=True,
        )
    if pid_file is not None:
        pid_file.write_text(f"{process.pid} {started_at(process.pid)}\n", encoding="ascii")
    return process


def started_at(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 when it is gone (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def kill(pids: Sequence[int], timeout: float = 10.0) -> None:
    """Send SIGKILL to processes, ours or not, and wait until each is gone."""
    waiting = []
    for pid in pids:
        try:
            waiting.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + timeout
    for descriptor in waiting:
        select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        os.close(descriptor)


def end_leftover(pid_file: Path) -> None:
    """End the process that an earlier run noted in `pid_file`, and its children."""
    try:
        pid, start = map(int, pid_file.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return
    if start and started_at(pid) == start:
        kill([pid, *children(pid)])
    pid_file.unlink(missing_ok=True)


def stop(process: subprocess.Popen[bytes], how: signal.Signals, timeout: float = 20.0) -> int:
    """Ask a process to end, insist after `timeout` seconds, and return its exit status."""
    process.send_signal(how)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
