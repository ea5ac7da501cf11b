"""A browser without a screen: keeps the one cookie, finds the token of forms, follows nothing."""

import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

COOKIE = "__Host-callstash"


class Browser:
    """Talks to the application as one browser does."""

    def __init__(self, app: Flask, address: str = "192.0.2.7") -> None:
        self._client = app.test_client(use_cookies=False)
        self.address = address
        self.token = ""

    def ask(self, method: str, path: str, **arguments: Any) -> TestResponse:
        """Send a request and keep the cookie of the answer."""
        headers = dict(arguments.pop("headers", {}))
        if self.token:
            headers["Cookie"] = f"{COOKIE}={self.token}"
        answer = self._client.open(
            path,
            method=method,
            headers=headers,
            buffered=True,
            environ_overrides={"REMOTE_ADDR": self.address},
            **arguments,
        )
        for cookie in answer.headers.getlist("Set-Cookie"):
            found = re.match(rf"{COOKIE}=([^;]*);", cookie)
            assert found is not None, cookie
            self.token = found[1]
        return answer

    def get(self, path: str, **headers: str) -> TestResponse:
        """Send a GET; header names are written with underscores."""
        return self.ask(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    def csrf(self, page: str = "/login") -> str:
        """Return the token of the forms on a page."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get(page).text)
        assert found is not None, page
        return found[1]

    def post(self, path: str, /, page: str = "/login", **fields: str) -> TestResponse:
        """Send a form with its token."""
        return self.ask("POST", path, data={"csrf": self.csrf(page), **fields})

    def log_in(self, name: str, password: str, **fields: str) -> TestResponse:
        """Log in as an administrator."""
        return self.post("/login", pbx="admin", name=name, password=password, **fields)
