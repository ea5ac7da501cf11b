"""The password of root, for the console."""

import subprocess

from common import passwords
from common.errors import ConfigError
from tools.config.screen import Screen

TITLE = "Set root Password"


def page(screen: Screen, leave: str) -> None:
    """Ask for the password twice and set it. Raises Back, ConfigError."""
    while True:
        first, second = screen.form(
            TITLE,
            f"The password with which 'root' logs in at this console.\n\n{passwords.RULE}"
            "\nArrow keys move between the two fields.",
            [("Password", ""), ("Again", "")], secret=True, back=leave,
        )  # fmt: skip
        if first != second:
            screen.tell(TITLE, "The two are not the same: enter the password twice.")
            continue
        try:
            passwords.check(first)
        except passwords.WeakPassword as error:
            screen.tell(TITLE, str(error))
            continue
        _set(first)
        screen.tell(TITLE, "The password of root is set.")
        return


def _set(password: str) -> None:
    done = subprocess.run(
        ["chpasswd"], input=f"root:{password}\n", capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    if done.returncode:
        raise ConfigError(f"The password was not set: {done.stderr.strip()}")
