"""HTTP on a real port: a thread for each connection, recordings by sendfile, faults on request."""

import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from html import escape
from http.client import responses
from pathlib import Path
from urllib.parse import quote, unquote

from simulators.pbx import faults
from simulators.pbx.api import Answer, Api, Request
from simulators.pbx.faults import Fault, Faults
from simulators.pbx.media import Media

LIMIT = 16 << 20
EXCESS = 1000  # bytes that come too many
HALFWAY = ("truncated", "truncated_no_length", "reset")
Handler = Callable[[Request], tuple[Answer, Fault | None]]


class Gone(Exception):
    """The client closed the connection, or we do."""


class Server:
    """Serves one port until the process ends; `certificate` is a file and that of its key."""

    def __init__(
        self,
        handle: Handler,
        media: Media,
        port: int = 0,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._handle = handle
        self._media = media
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
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
            talk = _Talk(connection, self._media)
            while True:
                request = talk.receive()
                self.requests += 1
                answer, fault = self._handle(request)
                talk.send(answer, fault, bare=request.method == "HEAD")
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (Gone, OSError, ValueError):
            pass  # this conversation is over; the client makes another one
        finally:
            connection.close()


class _Talk:
    """One connection: requests in, answers out."""

    def __init__(self, connection: socket.socket, media: Media) -> None:
        self._connection = connection
        self._media = media
        self._buffer = b""

    def receive(self) -> Request:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        fields = (line.partition(":") for line in lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        length = int(headers.get("content-length", 0))
        if headers.get("expect"):
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < length:
            self._more()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = {}  # as the PBX does
        return Request(method, path, body if isinstance(body, dict) else {}, headers)

    def _more(self) -> None:
        data = self._connection.recv(1 << 16)
        if not data or len(self._buffer) > LIMIT:
            raise Gone
        self._buffer += data

    def send(self, answer: Answer, fault: Fault | None, *, bare: bool) -> None:
        what = fault.what if fault else ""
        if fault is not None:
            if what == "close_before_answer":
                raise Gone
            if what == "stall":
                threading.Event().wait(fault.param or 120)
            answer = faults.replace(fault, answer)
        size = answer.call.size if answer.call else len(answer.body)
        # half of those that are too long say so, which only a listed size contradicts
        hidden = what == "longer" and fault is not None and fault.chance.random() < 0.5
        announced: int | None = size + (EXCESS if what == "longer" and not hidden else 0)
        if what in ("truncated_no_length", "endless"):
            announced = None
        head = _head(answer, announced)
        if bare:
            self._connection.sendall(head)
        elif what == "slow" and fault is not None:
            self._connection.sendall(head)
            self._trickle(answer, fault.param or 2000)
        elif what in HALFWAY:
            self._body(head, answer, size // 2)
            self._break_off(what)
        else:
            self._body(head, answer, size)
            if what == "longer":
                self._connection.sendall(bytes(EXCESS))
            while what == "endless":
                self._connection.sendall(bytes(1 << 16))

    def _body(self, head: bytes, answer: Answer, size: int) -> None:
        """Send the head of the answer and the first `size` bytes of its body."""
        call = answer.call
        if call is None:
            self._connection.sendall(head + answer.body[:size])
            return
        first = call.head[:size]
        self._connection.sendall(head + first)
        at, left = call.offset, size - len(first)
        if isinstance(self._connection, ssl.SSLSocket):
            for piece in self._media.pieces(call.codec, at, left):
                self._connection.sendall(piece)
            return
        descriptor = self._media.descriptors[call.codec]
        while left:
            sent = os.sendfile(self._connection.fileno(), descriptor, at, left)
            if not sent:
                raise Gone  # a call that is longer than the speech there is
            at, left = at + sent, left - sent

    def _trickle(self, answer: Answer, rate: float) -> None:
        data, call = answer.body, answer.call
        if call is not None:
            pieces = self._media.pieces(call.codec, call.offset, call.length)
            data = call.head + b"".join(pieces)
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


def _head(answer: Answer, length: int | None) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Status')}",
        f"Content-Type: {answer.mime}",
        "Connection: close" if length is None else f"Content-Length: {length}",
        *answer.headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def pbx_handler(api: Api, chosen: Faults) -> Handler:
    """Return the handler of the PBX's own port; GET /plain/ is for the benchmark's rivals."""

    def handle(request: Request) -> tuple[Answer, Fault | None]:
        path = request.path.partition("?")[0]
        if path.startswith("/plain/") and request.method in ("GET", "HEAD"):
            return _plain(api, unquote(path.removeprefix("/plain/"))), None
        if request.method != "POST" or not path.startswith("/rest/"):
            return Answer(b"not found", 404, "text/plain"), None
        return api.answer(request), chosen.choose(api.kind(path))

    return handle


def _plain(api: Api, name: str) -> Answer:
    """Answer as a plain web server that has the same files; its index is what rclone reads."""
    if not name:
        names = [call.file for call in api.model.offered()]
        links = "".join(f'<a href="{quote(name)}">{escape(name)}</a>\n' for name in names)
        return Answer(f"<html><body><pre>\n{links}</pre></body></html>".encode(), mime="text/html")
    call = api.model.find(name)
    return Answer(mime=call.mime, call=call) if call else Answer(b"", 404, "text/plain")
