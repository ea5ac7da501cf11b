"""One supervised process: started in one step, looked at in later ones, ended with us."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

TAIL = 8192
SOON = (
    0.5  # seconds that a step waits for a child to end: most do, and the next step is a second off
)
_PROGRESS = re.compile(r"\(xfr#(\d+), (?:ir-chk|to-chk)=(\d+)/(\d+)\)")
_STATISTICS = {  # rsync's --info=stats2, and what we call it
    "Number of files": "files",
    "Number of created files": "created",
    "Number of deleted files": "deleted",
    "Number of regular files transferred": "transferred",
    "Total file size": "size",
    "Total transferred file size": "transferred_size",
    "Total bytes sent": "sent",
    "Total bytes received": "received",
}


class Child:
    """A running process with what it says."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        descriptor, name = tempfile.mkstemp(prefix="child-", dir=directory)
        self._output = Path(name)
        with os.fdopen(descriptor, "wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(environment), start_new_session=True,
            )  # fmt: skip

    def status(self) -> int | None:
        """Return the exit status; None: it does not end soon."""
        try:
            return self._process.wait(SOON)
        except subprocess.TimeoutExpired:
            return None

    def said(self) -> str:
        """Return the end of what it said."""
        with self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - TAIL))
            return file.read().decode(errors="replace")

    def lines(self) -> list[str]:
        """Return all that it said."""
        return self._output.read_text(encoding="utf-8", errors="replace").splitlines()

    def stop(self) -> None:
        """End it and wait for that."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Work:
    """The children of one piece of work, one at a time; `stop` ends the one that runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.running: Child | None = None
        self.ended: Child | None = None

    def run(
        self, command: Sequence[str], environment: Mapping[str, str],
        look: Callable[[str], None] = lambda _: None,
    ) -> Generator[None, None, tuple[int, str]]:  # fmt: skip
        """Run a command, a step at a time; return its status and the end of what it said."""
        self.running = Child(command, self._directory, environment)
        while (status := self.running.status()) is None:
            look(self.running.said())
            yield
        self.ended, self.running = self.running, None
        said = self.ended.said()
        return status, said

    def stop(self) -> None:
        """End the child that runs."""
        if self.running is not None:
            self.running.stop()


def progress(said: str) -> tuple[int, int] | None:
    """Return how many files rsync has looked at, and of how many, from --info=progress2."""
    found = _PROGRESS.findall(said)
    if not found:
        return None
    _, left, total = (int(number) for number in found[-1])
    return total - left, total


def statistics(said: str) -> dict[str, int]:
    """Return the figures of rsync's own --info=stats2 by our names for them."""
    figures = {}
    for line in said.splitlines():
        name, _, value = line.partition(":")
        number = re.match(r"\s*([\d,]+)", value)
        if number and name.strip() in _STATISTICS:
            figures[_STATISTICS[name.strip()]] = int(number[1].replace(",", ""))
    return figures
