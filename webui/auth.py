"""Who is asking: sessions, logins and their throttling, and the token that each form must carry.

A browser holds a random token, the database only its hash. A login is counted as failed before its
password is looked at and uncounted when that was right: a rush of parallel guesses gains nothing.
"""

import hashlib
import hmac
import ipaddress
import math
import secrets
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from common import passwords
from common.db import Connection
from common.errors import CallStashError
from webui.policy import Policy, allows
from webui.queries import accounts
from webui.settings import Settings, connection, shared

COOKIE = "__Host-callstash"
LIVE = "X-CallStash-Live"  # a page that refreshes itself is not a person at work

_FREE_NAME, _LONGEST_NAME = 5, 60  # more would let anybody lock an administrator out
_FREE_ADDRESS, _LONGEST_ADDRESS = 20, 900


class LoginRefused(CallStashError):
    """This login is refused; the text says why."""


class Throttled(LoginRefused):
    """Too many failed logins: wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many failed logins. Try again in {seconds} seconds.")
        self.seconds = seconds


@dataclass(frozen=True)
class User:
    """Who is logged in."""

    account: str
    token_sha256: bytes

    def may(self, policy: Policy) -> bool:
        """Say whether this user may use routes with this policy."""
        return allows(policy, self.account)


def address() -> str | None:
    """Return the client's address; behind a Unix socket the one that our own web server names."""
    text = request.remote_addr or request.headers.get("X-Forwarded-For", "").rpartition(",")[2]
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def _network(text: str | None) -> str | None:
    if text is None or ipaddress.ip_address(text).version == 4:
        return text
    return str(ipaddress.ip_network(f"{text}/64", strict=False))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def token() -> str:
    """Return the token of this browser; one that has none gets a new one with the answer."""
    if "token" not in g:
        found = request.cookies.get(COOKIE, "")
        g.new_token = not (40 <= len(found) <= 64 and found.isascii())
        g.token = secrets.token_urlsafe(32) if g.new_token else found
    kept: str = g.token
    return kept


def csrf() -> str:
    """Return what a form of this browser must carry."""
    return hmac.digest(token().encode(), b"callstash form", "sha256").hex()


def user() -> User | None:
    """Return who is logged in."""
    if "user" not in g:
        g.user = _find()
    found: User | None = g.user
    return found


def _find() -> User | None:
    if COOKIE not in request.cookies:
        return None
    settings, db, digest = shared().settings, connection(), _hash(token())
    account = accounts.session_account(
        db, digest, settings.session_idle_minutes, settings.session_hours
    )
    if account is None:
        return None
    if LIVE not in request.headers:
        accounts.touch_session(db, digest)
    return User(account, digest)


def account() -> str:
    """Return the account that is logged in; "nobody" on pages that need no login."""
    known = user()
    return known.account if known else "nobody"


def note(db: Connection, action: str, subject: str, **detail: object) -> None:
    """Append to the audit log what this request does."""
    accounts.note(db, account(), action, subject, address(), **detail)


def say(text: str) -> None:
    """Have the next page of this browser say something once, such as that it was saved."""
    known = user()
    if known is not None:
        accounts.set_notice(connection(), known.token_sha256, text)


def notice() -> str | None:
    """Return what this page says once."""
    known = g.get("user")
    if known is None or LIVE in request.headers or g.get("is_error_page"):
        return None
    return accounts.take_notice(connection(), known.token_sha256)


def enforce() -> BaseResponse | None:
    """Let a request through only as the policy of its route says; runs before every view."""
    if request.endpoint is None:
        return None  # 404 and 405 tell nobody anything
    view: Any = current_app.view_functions[request.endpoint]
    needed = getattr(view, "policy", None)
    if needed is not Policy.PUBLIC and user() is None:
        if not view.is_page or LIVE in request.headers:
            abort(401)
        here = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("login.form", next=here), 303)
    if request.method not in ("GET", "HEAD", "OPTIONS") and not hmac.compare_digest(
        request.form.get("csrf", "").encode(), csrf().encode()
    ):
        abort(403, "This form is too old. Go back, reload the page, and send it again.")
    known = user() if needed is not Policy.PUBLIC else None
    if not isinstance(needed, Policy) or not allows(needed, known.account if known else None):
        abort(403, "Your account may not do this.")
    return None


def finish(response: Response) -> Response:
    """Give the browser its token where it has a new one."""
    if g.get("new_token"):
        response.set_cookie(COOKIE, g.token, secure=True, httponly=True, samesite="Lax", path="/")
    return response


def _wait(failures: int, free: int, longest: int, since: float) -> int:
    if failures < free:
        return 0
    return max(0, math.ceil(min(longest, 1 << min(failures - free + 1, 16)) - since))


def _count(db: Connection, name: str, network: str | None) -> None:
    with db.transaction():
        accounts.one_login_at_a_time(db)
        known = accounts.failures(db, name, network)
        seconds = max(
            _wait(known.by_name, _FREE_NAME, _LONGEST_NAME, known.since_name),
            _wait(known.by_address, _FREE_ADDRESS, _LONGEST_ADDRESS, known.since_address),
        )
        if seconds:
            raise Throttled(seconds)
        accounts.add_failure(db, name, network)


def log_in(db: Connection, settings: Settings, name: str, password: str) -> None:
    """Begin a session of an administrator for this browser. Raises LoginRefused."""
    name, source = name.strip().casefold()[:64].replace("\0", ""), address()
    _count(db, name, _network(source))
    known = accounts.password_hash(db, name)
    if not passwords.verify(known, password):
        # what was typed as an unknown name may be a password: it is not written down
        accounts.note(db, name if known else "unknown", "login.failed", "", source)
        raise LoginRefused("The user name or the password is wrong.")
    g.token, g.new_token = secrets.token_urlsafe(32), True
    with db.transaction():
        accounts.end_session(db, _hash(request.cookies.get(COOKIE, "")))
        accounts.forget_failures(db, name)
        accounts.purge(db, settings.session_idle_minutes, settings.session_hours)
        accounts.begin_session(db, _hash(g.token), name, source)
        accounts.note(db, name, "login", "", source)


def log_out(db: Connection, who: User) -> None:
    """End the session of this browser."""
    with db.transaction():
        accounts.end_session(db, who.token_sha256)
        accounts.note(db, who.account, "logout", "", address())
    g.token, g.new_token = secrets.token_urlsafe(32), True
