"""HTTP on a real port: a thread for each connection, recordings by sendfile, faults where asked
for."""

import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any

from simulators.pbx import faults
from simulators.pbx.api import Answer, Api
from simulators.pbx.faults import Fault, Faults

LIMIT = 16 << 20
REASONS = {200: "OK", 302: "Found", 404: "Not Found", 500: "Internal Server Error"}
HALFWAY = ("truncated", "truncated_no_length", "reset")
Handler = Callable[[str, str, dict[str, Any]], tuple[Answer, Fault | None]]


class Gone(Exception):
    """The client closed the connection, or we do."""


class Server:
    """Serves one port until the process ends."""

    def __init__(self, handle: Handler, port: int = 0, certificate: str | None = None) -> None:
        self._handle = handle
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self.connections = 0
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections for ever."""
        while True:
            connection, _ = self._listener.accept()
            self.connections += 1
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            talk = _Talk(connection)
            while True:
                method, path, body = talk.receive()
                self.requests += 1
                answer, fault = self._handle(method, path, body)
                talk.send(answer, fault, bare=method == "HEAD")
        except (Gone, OSError):
            pass  # this conversation is over; the client makes another one
        finally:
            connection.close()


class _Talk:
    """One connection: requests in, answers out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def receive(self) -> tuple[str, str, dict[str, Any]]:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value for name, _, value in (x.partition(":") for x in lines[1:])}
        length = int(headers.get("content-length", 0))
        if headers.get("expect"):
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < length:
            self._more()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        try:
            body = json.loads(data)
        except ValueError:
            body = {}  # as the PBX does
        return method, path, body if isinstance(body, dict) else {}

    def _more(self) -> None:
        data = self._connection.recv(1 << 16)
        if not data or len(self._buffer) > LIMIT:
            raise Gone
        self._buffer += data

    def send(self, answer: Answer, fault: Fault | None, *, bare: bool) -> None:
        if fault is not None:
            self._pause(fault)
            answer = faults.replace(fault, answer)
        size = answer.call.size if answer.call else len(answer.body)
        what = fault.what if fault else ""
        length: int | None = size + 1000 if what == "longer" else size
        if what in ("truncated_no_length", "endless"):
            length = None
        self._connection.sendall(_head(answer, length))
        if bare:
            return
        if what == "slow" and fault is not None:
            self._trickle(answer, fault.param or 2000)
        elif what in HALFWAY:
            self._body(answer, size // 2)
            self._break_off(what)
        else:
            self._body(answer, size)
        if what == "longer":
            self._connection.sendall(os.urandom(1000))
        while what == "endless":
            self._connection.sendall(bytes(1 << 16))

    def _pause(self, fault: Fault) -> None:
        if fault.what == "stall":
            threading.Event().wait(fault.param or 120)
        if fault.what in ("stall", "close_before_answer"):
            raise Gone

    def _body(self, answer: Answer, size: int) -> None:
        """Send the first `size` bytes of the body."""
        call = answer.call
        if call is None:
            self._connection.sendall(answer.body[:size])
            return
        self._connection.sendall(call.head[:size])
        descriptor = _media[call.codec]
        at, left = call.offset, size - min(size, len(call.head))
        while left:
            if isinstance(self._connection, ssl.SSLSocket):
                piece = os.pread(descriptor, min(left, 1 << 18), at)
                self._connection.sendall(piece)
                sent = len(piece)
            else:
                sent = os.sendfile(self._connection.fileno(), descriptor, at, left)
            at, left = at + sent, left - sent

    def _trickle(self, answer: Answer, rate: float) -> None:
        data = answer.body
        if answer.call:
            data = answer.call.head + os.pread(
                _media[answer.call.codec], answer.call.length, answer.call.offset
            )
        pause = threading.Event()
        step = max(1, int(rate / 10))
        for start in range(0, len(data), step):
            self._connection.sendall(data[start : start + step])
            pause.wait(0.1)

    def _break_off(self, what: str) -> None:
        if what == "reset":
            linger = struct.pack("ii", 1, 0)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise Gone


_media: dict[str, int] = {}


def use_media(descriptors: dict[str, int]) -> None:
    """Say where the samples of each codec are."""
    _media.update(descriptors)


def _head(answer: Answer, length: int | None) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Status')}",
        f"Content-Type: {answer.mime}",
        "Connection: close" if length is None else f"Content-Length: {length}",
        *answer.headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def pbx_handler(api: Api, chosen: Faults) -> Handler:
    """Return the handler of the PBX's own port; GET /plain/ serves the same recordings in the"
    " clear."""

    def handle(method: str, path: str, body: dict[str, Any]) -> tuple[Answer, Fault | None]:
        if path.startswith("/plain/") and method in ("GET", "HEAD"):
            return _plain(api, path.removeprefix("/plain/")), None
        if method != "POST":
            return Answer(b"not found", 404, "text/plain"), None
        return api.answer(path, body), chosen.choose(api.kind(path))

    return handle


def _plain(api: Api, name: str) -> Answer:
    if not name:
        links = "".join(f'<a href="{call.file}">{call.file}</a>\n' for call in api.model.offered())
        return Answer(f"<html><body><pre>\n{links}</pre></body></html>".encode(), mime="text/html")
    call = api.model.find(name, api.model.managed[0])
    return Answer(mime="audio/wav", call=call) if call else Answer(b"", 404, "text/plain")
