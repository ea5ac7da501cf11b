"""Who is asking: sessions, logins and their throttling, and the token that each form must carry.

A browser holds a random token, the database only its hash. A login is counted as failed before its
password is looked at and uncounted when that was right: a rush of parallel guesses gains nothing.
"""

import hashlib
import hmac
import ipaddress
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Response, abort, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from common import passwords
from common.db import Connection
from common.errors import CallStashError
from webui import factor
from webui.policy import USER, Policy, allows
from webui.queries import accounts, licences
from webui.scope import EVERYTHING, Scope
from webui.settings import connection, shared

COOKIE = "__Host-callstash"
UNLICENSED = ("assets.file", "licence.activation", "licence.activate")  # all of a new box
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
    """Who is logged in, and whose calls they find; `account` is what the audit log calls them."""

    account: str
    name: str
    role: str
    token_sha256: bytes
    session: UUID
    scope: Scope

    def may(self, policy: Policy) -> bool:
        """Say whether this user may use routes with this policy."""
        return allows(policy, self.role)


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


def session() -> accounts.Session | None:
    """Return the session of this browser, also one that is not open yet."""
    if "session" not in g:
        g.session = _find() if COOKIE in request.cookies else None
    found: accounts.Session | None = g.session
    return found


def _find() -> accounts.Session | None:
    settings, db, digest = shared().settings, connection(), _hash(token())
    found = accounts.session(db, digest, settings.session_idle_minutes, settings.session_hours)
    if found is not None and LIVE not in request.headers:
        accounts.touch_session(db, digest)
    return found


def user() -> User | None:
    """Return who is logged in."""
    if "user" not in g:
        found = session()
        g.user = _logged_in(found) if found is not None and found.step == "open" else None
    known: User | None = g.user
    return known


def _logged_in(found: accounts.Session) -> User:
    is_user = found.user_id is not None
    scope = Scope(user_id=found.user_id, companies=tuple(found.hears)) if is_user else EVERYTHING
    role = USER if is_user else found.account
    return User(found.account, found.name, role, found.token_sha256, found.id, scope)


def scope() -> Scope:
    """Return whose calls this request may find; none where nobody is logged in."""
    known = user()
    return known.scope if known else Scope()


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


def _here() -> str | None:
    return request.full_path.rstrip("?") if request.method == "GET" else None


def _way_in() -> str:
    begun = session()
    return f"login.{begun.step}" if begun else "login.form"


def enforce() -> BaseResponse | None:
    """Let a request through only as the policy of its route says; runs before every view."""
    if request.endpoint is None:
        return None  # 404 and 405 tell nobody anything
    view: Any = current_app.view_functions[request.endpoint]
    needed = getattr(view, "policy", None)
    if request.endpoint not in UNLICENSED and not licences.is_licensed(connection()):
        if not view.is_page or LIVE in request.headers:
            abort(403, "This CallStash is not activated.")
        return redirect(url_for("licence.activation"), 303)
    if needed is not Policy.PUBLIC and user() is None:
        if not view.is_page or LIVE in request.headers:
            abort(401)
        return redirect(url_for(_way_in(), next=_here()), 303)
    if request.method not in ("GET", "HEAD", "OPTIONS") and not hmac.compare_digest(
        request.form.get("csrf", "").encode(), csrf().encode()
    ):
        abort(403, "This form is too old. Go back, reload the page, and send it again.")
    known = user() if needed is not Policy.PUBLIC else None
    if request.endpoint == "home.page" and known and known.role == USER:
        return redirect(url_for("search.page"), 303)
    if not isinstance(needed, Policy) or not allows(needed, known.role if known else None):
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


def count(db: Connection, name: str) -> int:
    """Count an attempt as failed before it is looked at, and return its id. Raises Throttled."""
    network = _network(address())
    with db.transaction():
        accounts.one_login_at_a_time(db)
        known = accounts.failures(db, name, network)
        seconds = max(
            _wait(known.by_name, _FREE_NAME, _LONGEST_NAME, known.since_name),
            _wait(known.by_address, _FREE_ADDRESS, _LONGEST_ADDRESS, known.since_address),
        )
        if seconds:
            raise Throttled(seconds)
        return accounts.add_failure(db, name, network)


def log_in(db: Connection, name: str, password: str) -> str:
    """Begin a session of an administrator for this browser and return the step that it lacks to be
    open: 'password', 'code', or 'open' where it lacks none. Raises LoginRefused.
    """
    name = name.strip().casefold()[:64].replace("\0", "")
    failure = count(db, name)
    known = accounts.account(db, name)
    if not passwords.verify(known.password_hash if known else None, password) or known is None:
        # what was typed as an unknown name may be a password: it is not written down
        accounts.note(db, name if known else "unknown", "login.failed", "", address())
        raise LoginRefused("The user name or the password is wrong.")
    step = "password" if known.factory else "code" if known.has_factor else "open"
    with db.transaction():
        accounts.take_back(db, failure)
        begin(db, name, step)
    return step


def begin(db: Connection, name: str, step: str = "open") -> None:
    """Give this browser a new session in place of the one that it has, inside a transaction."""
    _renew(db)
    accounts.begin_session(db, _hash(g.token), name, address(), step, _agent())
    if step == "open":
        accounts.forget_failures(db, name)
        accounts.note(db, name, "login", "", address())


def begin_user(db: Connection, user_id: int, hears: Sequence[int]) -> None:
    """Give this browser a new session of a PBX user, inside a transaction."""
    _renew(db)
    accounts.begin_user_session(db, _hash(g.token), user_id, hears, address(), _agent())
    g.pop("session", None)
    g.pop("user", None)
    known = user()
    assert known is not None
    accounts.note(db, known.account, "login", "", address(), name=known.name, hears=list(hears))


def _renew(db: Connection) -> None:
    settings = shared().settings
    accounts.end_session(db, _hash(request.cookies.get(COOKIE, "")))
    g.token, g.new_token = secrets.token_urlsafe(32), True
    accounts.purge(db, settings.session_idle_minutes, settings.session_hours)


def _agent() -> str:
    return request.headers.get("User-Agent", "").replace("\0", "")[:200]


def finish_code(db: Connection, name: str, code: str, now: float) -> None:
    """Open the session of this browser with a code of the second factor. Raises LoginRefused."""
    failure = count(db, name)
    with db.transaction():
        if factor.accept(db, shared().keys, name, code, now):
            accounts.take_back(db, failure)
            begin(db, name)
            return
    accounts.note(db, name, "login.code_failed", "", address())
    raise LoginRefused("This code is wrong, or was used before. Wait for the next one.")


def check_password(db: Connection, name: str, password: str) -> bool:
    """Say whether this is the password of who is logged in; throttled. Raises Throttled."""
    failure = count(db, name)
    known = accounts.account(db, name)
    if not passwords.verify(known.password_hash if known else None, password):
        accounts.note(db, name, "password.failed", f"account:{name}", address())
        return False
    accounts.take_back(db, failure)
    return True


def change_password(db: Connection, name: str, password: str) -> None:
    """Give an account another password, end its sessions, and begin one for this browser.

    Raises WeakPassword.
    """
    known = accounts.account(db, name)
    if password == passwords.FACTORY or passwords.verify(
        known.password_hash if known else None, password
    ):
        raise passwords.WeakPassword("This is the password that you have now: take another.")
    with db.transaction():
        passwords.set_password(db, name, password)
        accounts.note(db, name, "password.changed", f"account:{name}", address())
        begin(db, name)


def log_out(db: Connection, who: accounts.Session) -> None:
    """End the session of this browser."""
    with db.transaction():
        accounts.end_session(db, who.token_sha256)
        accounts.note(db, who.account, "logout", "", address())
    g.token, g.new_token = secrets.token_urlsafe(32), True
