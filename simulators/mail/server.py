"""A mail server on a real port that keeps what it gets; it misbehaves on request.

Plain, with STARTTLS or TLS, with or without login (alice / Open-Sesame-1).
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "alice", "Open-Sesame-1"


class Mailbox:
    """What a mail server got; `refuse` maps MAIL, RCPT, DATA or an address to an answer."""

    def __init__(self, directory: Path | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.refuse: dict[str, str] = {}
        self.arrived = threading.Event()
        self._directory = directory

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender."""
        if "MAIL" in self.refuse:
            return self.refuse["MAIL"]
        envelope.mail_from = address  # type: ignore[assignment]
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        """Take a recipient."""
        if address in self.refuse or "RCPT" in self.refuse:
            return self.refuse.get(address) or self.refuse["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Take a mail."""
        if "DATA" in self.refuse:
            return self.refuse["DATA"]
        assert isinstance(envelope.content, bytes)
        message = BytesParser(policy=default).parsebytes(envelope.content)
        self.mails.append(message)
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
            name = f"{len(list(self._directory.glob('*.eml'))) + 1:04}.eml"
            (self._directory / name).write_bytes(envelope.content)
        self.arrived.set()
        return "250 kept"


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
) -> AuthResult:
    known = LoginPassword(USER.encode(), PASSWORD.encode())
    if data == known:
        return AuthResult(success=True)
    return AuthResult(success=False, handled=False, message="535 5.7.8 no such user or password")


@contextmanager
def serving(
    mailbox: Mailbox,
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    login: bool = False,
    port: int = 0,
) -> Iterator[int]:
    """Serve on 127.0.0.1 in a thread of this process; yields the port."""
    options: dict[str, Any] = {"hostname": "mail.simulated", "tls_context": starttls}
    if login:
        options |= {"authenticator": _authenticate, "auth_required": True}
        options["auth_require_tls"] = starttls is not None
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncio.Server:
        return await loop.create_server(
            lambda: SMTP(mailbox, loop=loop, **options), "127.0.0.1", port, ssl=tls
        )

    async def close(server: asyncio.Server) -> None:
        server.close()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    try:
        server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
        yield server.sockets[0].getsockname()[1]
        asyncio.run_coroutine_threadsafe(close(server), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
