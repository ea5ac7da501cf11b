"""Running the programs of the system, with what they say in the log."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from common.errors import CallStashError

Say = Callable[[str], None]


class Failed(CallStashError):
    """A part of an upgrade did not succeed; the text says which and why, for a person."""


def run(
    *command: str | Path,
    say: Say | None = None,
    given: str = "",
    source: IO[bytes] | None = None,
    to: IO[bytes] | None = None,
    at: Path = Path("/"),
) -> str:
    """Run a program in English and return what it prints, or write it to `to`.

    It reads `given`, or from `source`. Its output goes to `say` line by line. Raises Failed with
    its last lines where it fails.
    """
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    lines: list[str] = []
    try:
        with TemporaryFile() as text, subprocess.Popen(
            command, cwd=at, env=environment, text=True, errors="replace",
            stdin=source or _file(text, given),
            stdout=to or subprocess.PIPE, stderr=subprocess.PIPE if to else subprocess.STDOUT,
        ) as process:  # fmt: skip
            for line in (process.stderr if to else process.stdout) or ():
                lines.append(line)
                if say and line.strip():
                    say(f"  {line.rstrip()}")
    except OSError as error:
        raise Failed(f"{command[0]} can't be run: {error.strerror}") from error
    if process.returncode:
        said = " ".join(" ".join(lines[-5:]).split())[-600:]
        raise Failed(f"{Path(command[0]).name} failed: {said or process.returncode}")
    return "".join(lines)


def _file(file: IO[bytes], text: str) -> IO[bytes]:
    file.write(text.encode())
    file.seek(0)
    return file
