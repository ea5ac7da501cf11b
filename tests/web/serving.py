"""The web UI served as in production, for real browsers."""

import base64
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until
from tests.web.building import MASTER

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=user-gesture-required",
]


def _answers(port: int) -> bool:
    """Say whether something listens there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(dsn: str, archive: Path, directory: Path) -> Iterator[str]:
    """Serve the web UI of a database and an archive; yields its address."""
    (directory / "master.key").write_text(base64.b64encode(MASTER).decode())
    (directory / "callstash.toml").write_text(
        f'[common]\ndatabase = "{dsn}"\nbroker = "amqp://nowhere"\n'
        f'archive = "{archive}"\ntimezone = "Europe/London"\n'
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "-c", "python:webui.serving",
        "--bind", f"127.0.0.1:{port}", "webui:create_app()",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "CALLSTASH_CONFIG": str(directory / "callstash.toml"),
        "CREDENTIALS_DIRECTORY": str(directory),
    }
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        until(lambda: process.poll() is not None or _answers(port), 30)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(20) == 0
