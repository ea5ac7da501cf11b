"""What stands above the login at the console: where the web UI is and how its certificate shows."""

import subprocess
from pathlib import Path

import click

from common import files
from common.errors import CallStashError
from tools.certificates import Pair
from tools.pairs import DIRECTORY

ISSUE = Path("/etc/issue.d/callstash.issue")  # agetty looks at no other place beside /etc/issue


def text(fingerprint: str) -> str:
    r"""Return it; agetty puts the address in the place of \4 and shows it anew when it changes."""
    half = len(fingerprint) // 2 + 1
    return (
        "CallStash\n\n"
        "Web UI:      https://\\4/\n"
        f"Certificate: SHA-256 {fingerprint[:half]}\n"
        f"                     {fingerprint[half:]}\n"
        "To configure this machine, log in as root and run callstash-config.\n\n"
    )


def write(directory: Path = DIRECTORY) -> None:
    """Write it for the pair of the web UI and have the consoles show it."""
    if directory != DIRECTORY:
        return  # another web UI than this machine's
    try:
        pair = Pair.read(directory / "key.pem", directory / "certificate.pem")
        ISSUE.parent.mkdir(exist_ok=True)
        files.replace(ISSUE, text(pair.fingerprint))
        subprocess.run(["agetty", "--reload"], stdin=subprocess.DEVNULL, check=False, timeout=30)
    except (CallStashError, OSError) as error:  # of no weight beside what was done before
        click.echo(f"the console doesn't show the certificate: {error}", err=True)
