"""Starts a simulated PBX and talks to its control port."""

import http.client
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from simulators.pbx.model import KEY

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "var" / "speech"
__all__ = ["KEY", "Running", "start"]


class Running:
    """A simulated PBX in a process of its own. Raises RuntimeError where it does not start."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "simulators.pbx", "--state", str(STATE), *arguments]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (stop() closes it)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self.url, self._control = (self._said(word) for word in ("READY", "CONTROL"))
        self.certificate = STATE / "pbx.crt" if "--tls" in arguments else None

    def _said(self, word: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(word):
            self.process.kill()
            self.process.wait()
            self._errors.seek(0)
            errors = self._errors.read().decode(errors="replace")
            self.stop()
            raise RuntimeError(f"the PBX simulator did not start: {line}{errors}")
        return line.split()[1]

    def control(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Tell or ask the simulator something. Raises ValueError where it does not understand."""
        connection = http.client.HTTPConnection(urlsplit(self._control).netloc, timeout=120)
        try:
            connection.request("POST", "/control", json.dumps({"do": do, **arguments}))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def stop(self) -> None:
        """End it, and show what it complained about; harmless when it has ended."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if not self._errors.closed:
            self._errors.seek(0)
            sys.stderr.write(self._errors.read().decode(errors="replace"))
            self._errors.close()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(*arguments: str) -> Running:
    """Start a simulated PBX; it dies with us, its speech stays for all others."""
    return Running(*arguments)
