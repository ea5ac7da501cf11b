"""The conversation with a mail server (RFC 5321), and what went wrong with it in words.

A connection that shall be encrypted never falls back to plain text, and a password is sent in plain
text to this machine only.
"""

import ipaddress
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import getaddresses

from common.errors import CallStashError

SECONDS = 6.0  # for each answer
TOTAL = 15.0  # for all of them
_FINAL = 500  # from this status on it is no use to ask again (RFC 5321, 4.2.1)
LONGEST = 300  # characters of a server's words
_CERTIFICATE = {10: "it has expired", 18: "it is self-signed", 19: "it is self-signed"}


class MailRefused(CallStashError):
    """The mail server did not take it; the text says why, with the server's own words.

    `final` where it would refuse it each time.
    """

    def __init__(self, text: str, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


@dataclass(frozen=True)
class Server:
    """A mail server; `security` is plain, starttls or tls."""

    host: str
    port: int
    security: str
    username: str
    password: str = field(repr=False)


def check(server: Server) -> None:
    """Connect, log in, and say goodbye. Raises MailRefused."""
    with _connected(server) as smtp:
        smtp.noop()


def send(server: Server, message: EmailMessage) -> None:
    """Send a mail to all its recipients. Raises MailRefused, also where only some got it."""
    addresses = [address for _, address in getaddresses([str(message["To"])])]
    with _connected(server) as smtp:
        try:
            refused = smtp.send_message(message, to_addrs=addresses)
        except smtplib.SMTPSenderRefused as error:
            raise MailRefused(
                f"The server refuses the From address {error.sender}: {_words(error)}"
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPDataError as error:
            raise MailRefused(
                f"The server refuses the mail: {_words(error)}", error.smtp_code >= _FINAL
            ) from error
    if refused:
        each = "; ".join(
            f"{address}: {_quoted(code, text)}" for address, (code, text) in refused.items()
        )
        rest = " The others got it." if len(refused) < len(addresses) else ""
        final = all(code >= _FINAL for code, _ in refused.values())
        raise MailRefused(f"The server refuses these recipients: {each}.{rest}", final)


@contextmanager
def _connected(server: Server) -> Iterator[smtplib.SMTP]:
    smtp, begun = None, time.monotonic()
    try:
        smtp = _connect(server)
        _log_in(smtp, server)
        if time.monotonic() - begun > TOTAL:
            raise TimeoutError
        yield smtp
        smtp.quit()
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        raise MailRefused(_explain(server, error)) from error
    finally:
        if smtp is not None:
            smtp.close()


def _connect(server: Server) -> smtplib.SMTP:
    context, name = ssl.create_default_context(), socket.gethostname()
    if server.security == "tls":
        return smtplib.SMTP_SSL(
            server.host, server.port, local_hostname=name, timeout=SECONDS, context=context
        )
    smtp = smtplib.SMTP(server.host, server.port, local_hostname=name, timeout=SECONDS)
    smtp.ehlo_or_helo_if_needed()
    if server.security == "starttls":
        if not smtp.has_extn("starttls"):
            smtp.close()
            raise MailRefused(
                f"{server.host} does not offer STARTTLS on port {server.port}. Choose TLS (most"
                " often port 465), or no encryption."
            )
        smtp.starttls(context=context)
    return smtp


def _log_in(smtp: smtplib.SMTP, server: Server) -> None:
    smtp.ehlo_or_helo_if_needed()
    if not server.username:
        return
    if server.security == "plain" and not _is_here(server.host):
        raise MailRefused(
            "A password is not sent over a connection without encryption. Choose STARTTLS or TLS."
        )
    if not smtp.has_extn("auth"):
        raise MailRefused(
            f"{server.host} offers no login here. Leave user name and password empty."
        )
    smtp.login(server.username, server.password)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _quoted(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return f"“{code} {line[:LONGEST]}”"


def _words(error: smtplib.SMTPResponseException) -> str:
    return _quoted(error.smtp_code, error.smtp_error)


def _explain(server: Server, error: Exception) -> str:
    host, port = server.host, server.port
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{host} refuses this user name and password: {_words(error)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{host} answers {_words(error)}"
    if isinstance(error.__context__, TimeoutError):
        return _no_connection(server, error.__context__)
    if isinstance(error, smtplib.SMTPServerDisconnected | ConnectionResetError | BrokenPipeError):
        return f"{host} ends the connection on port {port}: is this a mail server?"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{host} offers no way to log in that CallStash knows."
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _CERTIFICATE.get(error.verify_code, error.verify_message)
        return f"The certificate of {host} can't be verified: {why}."
    return _no_connection(server, error)


def _no_connection(server: Server, error: Exception) -> str:
    host, port = server.host, server.port
    if isinstance(error, ssl.SSLError):
        return f"{host} does not speak TLS on port {port}. Is STARTTLS (port 587) meant?"
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"There is no server with the name {host}. Check the name, and this machine's DNS."
    if isinstance(error, TimeoutError):
        return f"{host} does not answer on port {port}. Check the port, and firewalls on the way."
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses connections on port {port}. Check the port."
    return f"No conversation with {host} on port {port}: {error}"
