"""Full-screen dialogs on a terminal of 80 x 24; the only module that knows the library for them.

Ctrl-C goes to dialog(1), which ends; what was shown then leads back to the start.
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from types import FrameType

import dialog

from common.errors import ConfigError

WIDTH = 76
TEXT = WIDTH - 6
LINES, COLUMNS = 24, 80
HIGHEST = LINES - 2
FIELD = 40
ROWS = {"menu": "menu_height", "checklist": "list_height", "form": "form_height",
        "passwordform": "form_height"}  # fmt: skip
FRAME, BUTTONS, LIST = 2, 4, 6  # lines: around a text, with buttons, and with a list too


class Back(Exception):
    """Somebody wants the page before."""


class StartAgain(Exception):
    """Somebody pressed Ctrl-C."""


class Screen:
    """The terminal that this process has."""

    def __init__(self) -> None:
        if not sys.stdin.isatty() or not sys.stdout.isatty():
            raise ConfigError("callstash-config needs a terminal: run it at the console")
        columns, lines = os.get_terminal_size()
        if columns and (columns < COLUMNS or lines < LINES):
            raise ConfigError(
                f"callstash-config needs a terminal of {COLUMNS} columns and {LINES} lines, and"
                f" this one has {columns} and {lines}: make it larger"
            )
        os.environ.setdefault("TERM", "linux")
        self._dialog = dialog.Dialog(dialog="dialog")
        self._dialog.set_background_title("CallStash Configuration")
        self._interrupted = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._interrupted = True  # and the dialog, which got it too, ends

    def _show(
        self, kind: str, text: str, *, frame: int = BUTTONS, rows: int = 0, **options: object
    ) -> tuple[str, ...]:
        """Show a dialog and return its answer: how it was left, and what was entered. Besides its
        text and rows, it needs `frame` lines; rows that don't fit on the screen are scrolled to.
        """
        self._interrupted = False
        wrapped = _wrapped(text)
        lines = wrapped.count("\n") + 1 + frame
        if rows:
            rows = min(rows, HIGHEST - lines)
            options[ROWS[kind]] = rows
        options.setdefault("height", min(HIGHEST, lines + rows))
        try:
            answer = getattr(self._dialog, kind)(
                text=wrapped, width=WIDTH, cr_wrap=True, no_collapse=True, **options
            )
        except (dialog.DialogTerminatedBySignal, dialog.DialogError):
            if not self._interrupted:
                raise
            raise StartAgain from None
        if self._interrupted:
            raise StartAgain
        return answer if isinstance(answer, tuple) else (answer,)

    def menu(
        self, title: str, text: str, items: Sequence[str], *, default: int = 0, ok: str = "OK",
        back: str = "Back",
    ) -> int:  # fmt: skip
        """Have one of numbered items chosen and return which. Raises Back."""
        choices = [(str(number), item) for number, item in enumerate(items, 1)]
        code, tag = self._show(
            "menu", text, title=title, choices=choices, frame=LIST, rows=len(items),
            default_item=str(default + 1), ok_label=ok, cancel_label=back,
        )  # fmt: skip
        _left(code)
        return int(tag) - 1

    def form(
        self, title: str, text: str, fields: Sequence[tuple[str, str]], *, secret: bool = False,
        back: str = "Back",
    ) -> list[str]:  # fmt: skip
        """Have labelled fields filled in and return what they hold. Raises Back."""
        left = max(len(label) for label, _ in fields) + 3
        elements = [
            (f"{label}:", row, 1, value, row, left, FIELD, 1024)
            for row, (label, value) in enumerate(fields, 1)
        ]
        kind, more = ("passwordform", {"insecure": True}) if secret else ("form", {})
        code, values = self._show(
            kind, text, elements=elements, title=title, frame=LIST, rows=len(fields),
            cancel_label=back, **more,
        )  # fmt: skip
        _left(code)
        return list(values)

    def tick(self, title: str, text: str, items: Sequence[str]) -> list[int]:
        """Have some of numbered items ticked and return which. Raises Back."""
        choices = [(str(number), item, False) for number, item in enumerate(items, 1)]
        code, tags = self._show(
            "checklist", text, title=title, choices=choices, frame=LIST, rows=len(items),
            cancel_label="Back",
        )  # fmt: skip
        _left(code)
        return [int(tag) - 1 for tag in tags]

    def ask(
        self, title: str, text: str, yes: str, no: str, *, careful: bool = False, seconds: int = 0
    ) -> bool:
        """Ask a question; `careful` has the cursor on the answer no, which `seconds` without an
        answer mean as well.
        """
        more = {"timeout": seconds} if seconds else {}
        code, *_ = self._show(
            "yesno", text, title=title, yes_label=yes, no_label=no, defaultno=careful,
            **more,
        )  # fmt: skip
        return bool(code == self._dialog.OK)

    def tell(self, title: str, text: str, ok: str = "OK") -> None:
        """Say something until somebody has read it."""
        self._show("msgbox", text, title=title, ok_label=ok)

    def wait(self, title: str, text: str) -> None:
        """Say what is going on; this returns at once."""
        self._show("infobox", text, title=title, frame=FRAME)

    def log(self, title: str, text: str, source: subprocess.Popen[bytes]) -> None:
        """Show what a process prints until it ends and somebody has read it."""
        fold = ["stdbuf", "--output=L", "fold", "--spaces", f"--width={WIDTH - 4}"]
        with source, subprocess.Popen(fold, stdin=source.stdout, stdout=subprocess.PIPE) as folded:
            assert source.stdout is not None and folded.stdout is not None
            source.stdout.close()
            try:
                self._show("programbox", text, title=title, height=LINES - 3,
                           fd=folded.stdout.fileno())  # fmt: skip
            finally:
                folded.stdout.close()
                source.terminate()


def _left(code: str) -> None:
    if code != dialog.Dialog.OK:
        raise Back


def _wrapped(text: str) -> str:
    return "\n".join(
        line if line.startswith(" ") else textwrap.fill(line, TEXT) for line in text.split("\n")
    )
