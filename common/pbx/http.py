"""One hardened HTTP client for all connectors.

No redirects, no cookies, no proxies from the environment, bounded answers, and either the public
authorities or exactly one pinned certificate, never neither.
"""

import hashlib
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from common.errors import (
    NoPermission,
    ProtocolError,
    TransferError,
    TryLater,
    Unreachable,
    UntrustedCertificate,
)
from common.pbx import Media

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # a PBX may think this long about a listing
MEDIA_SECONDS = 30.0  # without a single byte
SLOWEST = 8 << 10  # bytes a second, over SLOW_SECONDS
SLOW_SECONDS = 30.0
PIECE = 256 << 10
LARGEST_MEDIA = 4 << 30
EXCESS = 16 << 20  # bytes that a recording may have more than is listed
LARGEST_ANSWER = 256 << 20


class _Pinned(HTTPAdapter):  # type: ignore[misc]
    """Accepts one certificate, known in advance, and no authority."""

    def __init__(self, certificate: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False  # the certificate itself is the identity
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._context.load_verify_locations(cadata=certificate)
        self._fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(
            *args,
            **options,
            ssl_context=self._context,
            assert_hostname=False,
            assert_fingerprint=self._fingerprint,
        )

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the context as it is: requests would add the public authorities to it."""

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """The same, for requests 2.32 and later."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        for name in ("ca_certs", "ca_cert_dir", "ssl_context"):
            pool.pop(name, None)
        return host, pool


class Client:
    """POSTs JSON to one PBX; every failure is a PbxError that names its host."""

    def __init__(
        self, url: str, certificate: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.host = urlsplit(url).netloc
        self._url = url
        self._clock = clock
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update({"User-Agent": "CallStash", "Accept-Encoding": "identity"})
        if certificate is not None:
            self._session.mount("https://", _Pinned(certificate))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def ask(
        self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the JSON object that the PBX answers."""
        with self._post(path, body, ANSWER_SECONDS, headers) as response:
            if response.status_code >= 500:
                raise TryLater(f"{self.host}: the PBX has an error ({response.status_code})")
            self._check_status(response)
            data = self._all_of(response)
        return self.parse(data)

    def parse(self, data: bytes) -> dict[str, Any]:
        """Return a JSON object. Raises ProtocolError."""
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            what = "a web page" if data.lstrip()[:1] == b"<" else "something"
            raise ProtocolError(
                f"{self.host}: the PBX sent {what} that is not JSON: is the address right?"
            ) from error
        if not isinstance(answer, dict):
            raise ProtocolError(f"{self.host}: the PBX sent JSON that is not an object")
        return answer

    @contextmanager
    def download(
        self, path: str, body: dict[str, Any], expected: int | None
    ) -> Iterator[tuple[Media, bytes]]:
        """Open a stream of bytes; with it come the first of them, which are in it too."""
        with self._post(path, body, MEDIA_SECONDS) as response:
            if response.status_code >= 500 and response.status_code != 503:
                raise TransferError(f"{self.host}: the PBX has an error ({response.status_code})")
            self._check_status(response)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ProtocolError(f"{self.host}: the PBX sent a compressed recording")
            chunks = self._pieces(response, expected)
            first = next(chunks, b"")
            yield Media(_announced(response), _chain(first, chunks)), first

    @contextmanager
    def _post(
        self,
        path: str,
        body: dict[str, Any],
        seconds: float,
        headers: dict[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        try:
            response = self._session.post(
                self._url + path,
                json=body,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, seconds),
            )
        except requests.exceptions.SSLError as error:
            reason = _reason(error)
            if "certificate verify failed" not in reason and "ingerprint" not in reason:
                raise Unreachable(f"{self.host}: no secure connection: {reason}") from error
            raise UntrustedCertificate(
                f"{self.host}: the PBX shows another certificate than expected: {reason}"
            ) from error
        except requests.exceptions.Timeout as error:
            raise Unreachable(f"{self.host}: the PBX does not answer in time") from error
        except requests.exceptions.ConnectionError as error:
            raise Unreachable(f"{self.host}: no connection: {_reason(error)}") from error
        except requests.exceptions.RequestException as error:
            raise ProtocolError(
                f"{self.host}: not HTTP as it should be: {_reason(error)}"
            ) from error
        try:
            yield response
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as error:
            raise TransferError(f"{self.host}: the answer broke off: {_reason(error)}") from error
        finally:
            response.close()

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (429, 503):
            raise TryLater(f"{self.host}: the PBX is busy ({status})")
        if 300 <= status < 400:
            raise ProtocolError(
                f"{self.host}: the PBX sends elsewhere, which is refused: enter its final address"
            )
        if status in (401, 403):
            raise NoPermission(f"{self.host}: the PBX forbids this ({status})")
        if status != 200:
            raise ProtocolError(f"{self.host}: the PBX answers with status {status}")

    def _all_of(self, response: requests.Response) -> bytes:
        data = bytearray()
        for piece in self._pieces(response, LARGEST_ANSWER):
            data += piece
            if len(data) > LARGEST_ANSWER:
                raise ProtocolError(f"{self.host}: the answer is larger than any list can be")
        return bytes(data)

    def _pieces(self, response: requests.Response, expected: int | None) -> Iterator[bytes]:
        """Yield what comes as it comes; raises TransferError for too little, too much, too slow."""
        announced = _announced(response)
        limit = LARGEST_MEDIA if expected is None else max(2 * expected, expected + EXCESS)
        read = response.raw._original_response.read1  # as requests itself does for cookies
        got, since, mark = 0, self._clock(), 0
        while True:
            piece = read(PIECE)
            if not piece:
                break
            got += len(piece)
            if got > limit:
                raise TransferError(f"{self.host}: more than {limit} bytes came: it was stopped")
            now = self._clock()
            if now - since > SLOW_SECONDS:
                if got - mark < SLOWEST * (now - since):
                    raise TransferError(f"{self.host}: the PBX sends too slowly: it was stopped")
                since, mark = now, got
            yield piece
        if announced is not None and got != announced:
            raise TransferError(f"{self.host}: {announced} bytes were announced and {got} came")
        response.raw._original_response.close()  # complete: the connection can serve again
        response.raw.release_conn()


def _announced(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
        yield from rest


def _reason(error: BaseException) -> str:
    """Return the innermost cause in words, short."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (part for part in error.args if isinstance(part, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    return tidy(str(error) or type(error).__name__)


def tidy(text: object) -> str:
    """Return at most 200 printable characters of what somebody else wrote."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:200]).strip()
