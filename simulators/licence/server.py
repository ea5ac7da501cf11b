"""The vendor's licence server on a real port; misbehaves on request.

POST /v1/activate {"code", "box", "version"} and POST /v1/refresh {"serial", "box"} answer 200 with
a licence, or a status with {"error": word}: 404 unknown, 409 used, 410 expired or cancelled.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from simulators.licence.vendor import Refused, Vendor

FAULTS = ("tampered", "html", "busy", "broken", "redirect", "endless", "silent", "nonsense")


class Server(ThreadingHTTPServer):
    """Serves `vendor`; `fault` is how it misbehaves, if at all."""

    daemon_threads = True

    def __init__(self, vendor: Vendor, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.vendor = vendor
        self.fault = ""
        self.asked: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        """The address that stands in CallStash's configuration."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        length = int(self.headers.get("Content-Length", "0"))
        try:
            asked = json.loads(self.rfile.read(min(length, 65536)))
            status, body = 200, json.dumps(self._answer(asked))
        except Refused as refused:
            status, body = refused.status, json.dumps({"error": refused.word})
        except (ValueError, KeyError, TypeError):
            status, body = 400, json.dumps({"error": "malformed"})
        self._misbehave(status, body)

    def _answer(self, asked: dict[str, str]) -> dict[str, object]:
        if self.path == "/v1/activate":
            return self.server.vendor.activate(asked["code"], asked["box"])
        if self.path == "/v1/refresh":
            return self.server.vendor.refresh(asked["serial"], asked["box"])
        raise Refused(404, "unknown")

    def _misbehave(self, status: int, body: str) -> None:
        fault = self.server.fault
        if fault == "silent":
            self.server.over.wait(30)
            return
        if fault == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while not self.server.over.is_set():
                    self.wfile.write(b" " * 65536)
            except OSError:
                return
        answers = {
            "tampered": (200, body.replace('"pbxs": ', '"pbxs": 9')),
            "html": (200, "<html><body>Log in to the guest network</body></html>"),
            "busy": (503, "{}"),
            "broken": (500, "oops"),
            "redirect": (302, ""),
            "nonsense": (200, '{"licence": [], "signature": "AA=="}'),
        }
        status, body = answers.get(fault, (status, body))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 302:
            self.send_header("Location", f"{self.server.url}{self.path}?again")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(vendor: Vendor, port: int = 0) -> Iterator[Server]:
    """Serve in a thread of this process."""
    server = Server(vendor, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
