"""The host name."""

from pathlib import Path

from common.errors import ConfigError
from tools.config import hostname
from tools.config.screen import Screen

TITLE = "Configure Hostname"


def page(screen: Screen, leave: str) -> None:
    """Ask for the host name and change it. Raises Back, ConfigError."""
    name = Path("/etc/hostname").read_text(encoding="utf-8").strip() or hostname.DEFAULT
    while True:
        (name,) = screen.form(
            TITLE,
            "The name of this machine: letters and digits. Leave it at"
            f" '{hostname.DEFAULT}' unless you have several.",
            [("Host name", name)], back=leave,
        )  # fmt: skip
        try:
            wanted = hostname.check(name)
        except ConfigError as error:
            screen.tell(TITLE, str(error))
            continue
        hostname.change(wanted)
        screen.tell(TITLE, f"This machine is called {wanted}.")
        return
