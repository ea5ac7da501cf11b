"""Debian's Firefox, spoken to as it comes, in Marionette: W3C WebDriver over a socket.

Each message is its length in decimal, a colon, and JSON: [0, id, command, parameters], answered by
[1, id, error, result]. (https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html)
"""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import until

PROGRAM = "firefox-esr"
PREFERENCES = {
    "marionette.port": 0,  # any that is free; the profile says which
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "media.cubeb.backend": "none",
    "media.autoplay.default": 0,
    "browser.download.always_ask_before_handling_new_types": False,
}
_KEYS = {"Enter": "\ue007", "Space": " ", "ArrowLeft": "\ue012", "ArrowRight": "\ue014"}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, 12.3


class Firefox:
    """One window."""

    def __init__(self, port: int, base: str) -> None:
        self._base = base
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._number = 0
        self._receive()  # it greets
        self._ask("WebDriver:NewSession", capabilities={})

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def goto(self, address: str) -> None:
        """Open an address and wait until it is loaded."""
        self._ask("WebDriver:Navigate", url=address if "://" in address else self._base + address)

    def script(self, text: str, *arguments: object) -> Any:
        """Return what a script in the page returns."""
        return self._ask("WebDriver:ExecuteScript", script=text, args=list(arguments))["value"]

    def click(self, selector: str) -> None:
        """Click on the first such element, as a mouse does."""
        self._ask("WebDriver:ElementClick", id=self._find(selector))

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self._ask("WebDriver:ElementSendKeys", id=self._find(selector), text=text)

    def choose_directory(self, selector: str, directory: Path) -> None:
        """Choose a directory. WebDriver knows no dialogue for that, so the files are chosen one by
        one and told where they lie, as a browser tells those of a directory.
        """
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
        self.script("document.querySelector(arguments[0]).multiple = true", selector)
        self.script("document.querySelector(arguments[0]).webkitdirectory = false", selector)
        self.type(selector, "\n".join(map(str, paths)))
        script = (
            "const [selector, names] = arguments;"
            "[...document.querySelector(selector).files].forEach((file, index) =>"
            " Object.defineProperty(file, 'webkitRelativePath', {value: names[index]}))"
        )
        names = [str(path.relative_to(directory.parent)) for path in paths]
        self.script(script, selector, names)

    def press(self, key: str) -> None:
        """Press a key wherever the focus is."""
        down = [{"type": kind, "value": _KEYS[key]} for kind in ("keyDown", "keyUp")]
        self._ask("WebDriver:PerformActions", actions=[{"type": "key", "id": "k", "actions": down}])

    def _find(self, selector: str) -> str:
        found = self._ask("WebDriver:FindElement", using="css selector", value=selector)
        return str(found["value"][_ELEMENT])

    def _ask(self, command: str, **parameters: object) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._receive()
        assert number == self._number
        assert error is None, error
        return result

    def _receive(self) -> Any:
        length = b""
        while (byte := self._socket.recv(1)) != b":":
            assert byte, "Firefox hung up"
            length += byte
        data = b""
        while len(data) < int(length):
            data += self._socket.recv(int(length) - len(data))
        return json.loads(data)


@contextmanager
def firefox(profile: Path, base: str) -> Iterator[Firefox]:
    """Run Firefox without a screen, on a new profile; addresses may be relative to `base`.

    What it downloads lies in `downloads` in the profile.
    """
    profile.mkdir()
    downloads = {"browser.download.folderList": 2,
                 "browser.download.dir": str(profile / "downloads")}  # fmt: skip
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});"
             for name, value in (PREFERENCES | downloads).items()]  # fmt: skip
    (profile / "user.js").write_text("\n".join(lines))
    command = [PROGRAM, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = profile / "MarionetteActivePort"
    try:
        until(lambda: (port.exists() and port.read_text()) or process.poll() is not None, 60)
        assert process.poll() is None, "Firefox does not start"
        window = Firefox(int(port.read_text()), base)
        yield window
        window.close()
    finally:
        process.terminate()
        process.wait(30)
