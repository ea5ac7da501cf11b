"""`callstash-config`: a walk through what a new machine needs, once, and a menu from then on."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from common.errors import CallStashError, ConfigError
from tools.config.pages import certificate, disks, hostname, network, password, upgrade
from tools.config.screen import Back, Screen, StartAgain
from tools.pairs import DIRECTORY

Page = Callable[[Screen, str], None]
WALKED = Path("/etc/callstash/configured")  # there once the walk was finished
WALK: tuple[Page, ...] = (network.page, hostname.page, password.page, disks.page)
MENU: tuple[tuple[str, Page], ...] = (
    (network.TITLE, network.page),
    (hostname.TITLE, hostname.page),
    (disks.TITLE, disks.page),
    (certificate.TITLE, certificate.page),
    (upgrade.TITLE, upgrade.page),
    (password.TITLE, password.page),
)


def main() -> int:
    """Run until somebody leaves the menu."""
    if sys.argv[1:]:
        print("callstash-config takes no arguments; man callstash-config", file=sys.stderr)
        return 2
    try:
        if os.geteuid() != 0:
            raise ConfigError("only root can configure this machine")
        screen = Screen()
    except ConfigError as error:
        print(f"callstash-config: {error}", file=sys.stderr)
        return 1
    while True:
        try:
            if not WALKED.exists():
                walk(screen)
                return 0
            if not choose(screen):
                return 0
        except StartAgain:
            continue


def walk(screen: Screen) -> None:
    """Lead through all that a new machine needs; each step may be skipped. Raises StartAgain."""
    for step in WALK:
        done(screen, step, "Skip")
    WALKED.parent.mkdir(exist_ok=True)
    WALKED.touch()
    screen.tell(
        "CallStash is configured",
        f"{network.web()}\n\nUntil you set up a certificate, your browser warns of this one. It is"
        f" the right one if the browser shows this fingerprint:\n\n"
        f"{certificate.facts(DIRECTORY)}\n\n"
        "To change anything, log in here as root and run callstash-config.",
        "Finish",
    )


def choose(screen: Screen) -> bool:
    """Have an entry of the menu chosen and done; False means that somebody leaves."""
    text = "Please select what you want to configure."
    try:
        number = screen.menu("CallStash Configuration", text, [name for name, _ in MENU],
                             back="Exit")  # fmt: skip
    except Back:
        return False
    done(screen, MENU[number][1], "Back")
    return True


def done(screen: Screen, page: Page, leave: str) -> None:
    """Show a page until its work is done or somebody leaves it; say what went wrong in it."""
    try:
        page(screen, leave)
    except Back:
        return
    except (CallStashError, OSError, subprocess.SubprocessError) as error:
        screen.tell("This was not done", str(error))


if __name__ == "__main__":
    sys.exit(main())
