"""A real terminal of 80 x 24 in which a command runs: keys go in, the screen comes out."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import until


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(
        self, directory: Path, there: Sequence[str], command: str, lines: int = 24
    ) -> None:
        """Run a shell command where `there` runs commands, and say in the end how it ended."""
        self._socket = directory / "tmux"
        shell = f"trap : INT; {command}; echo ended with $?; exec cat"
        self._tmux(
            "new-session", "-d", "-s", "t", "-x", "80", "-y", str(lines),
            shlex.join([*there, shell]),
        )  # fmt: skip

    def _tmux(self, *command: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-f", "/dev/null", "-S", str(self._socket), *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        return done.stdout

    @property
    def text(self) -> str:
        """Return what the screen shows."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them."""
        self._tmux("send-keys", "-t", "t", *keys)

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-t", "t", "-l", text)

    def sees(self, *words: str, timeout: float = 60) -> str:
        """Wait until the screen shows all words, wherever its lines break, and return it."""
        screen = ""

        def shown() -> bool:
            nonlocal screen
            screen = self.text
            flat = " ".join(screen.replace("\u2502", " ").split())
            return all(word in flat for word in words)

        try:
            until(shown, timeout)
        except AssertionError as error:
            raise AssertionError(f"the screen doesn't show {words}:\n{screen}") from error
        return screen

    def hang_up(self) -> None:
        """Take the terminal away, as a connection that breaks does."""
        subprocess.run(
            ["tmux", "-S", str(self._socket), "kill-server"], check=False, capture_output=True
        )
