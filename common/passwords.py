"""Passwords of administrators: which are good enough, and how they are kept (Argon2id, RFC 9106).

A name that does not exist costs as much time as one that does.
"""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHash, VerificationError

from common.db import Connection
from common.errors import CallStashError

MINIMUM = 8
LONG = 15  # from here on length is enough (NIST SP 800-63B)
MAXIMUM = 1024
FACTORY = "password"
RULE = (
    f"At least {MINIMUM} characters with an upper-case letter, a lower-case letter and a digit,"
    f" or at least {LONG} characters."
)

_HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4, hash_len=32)
_AT_ONCE = threading.BoundedSemaphore(2)  # each takes 64 MiB
_NOBODY = (  # of 32 random bytes that nobody kept; the same parameters as above
    "$argon2id$v=19$m=65536,t=3,p=4$65R0tqe3FlS2MUMUlX/HpA$"
    "CjllRqigCYU70c8b/lnwxbxVqFcUZuaniFO6iRGw8eI"
)
_WORDS = """
    abc abcd abcdef access admin administrator asdf asdfgh baseball callstash changeme default
    dragon football hello iloveyou ipcortex letmein login master monkey pass password passw0rd
    p@ssword p@ssw0rd princess qwert qwerty qwertyui qwertyuiop root secret shadow summer winter
    spring autumn sunshine superman sysadmin telephone test trustno user welcome zxcvbnm
"""
_COMMON = frozenset(_WORDS.split())


class WeakPassword(CallStashError):
    """This password is not good enough; the text says what it lacks."""


def check(password: str) -> None:
    """Raise WeakPassword unless the password may be used."""
    if len(password) < MINIMUM:
        raise WeakPassword(f"A password needs at least {MINIMUM} characters.")
    if len(password) > MAXIMUM:
        raise WeakPassword(f"A password has at most {MAXIMUM} characters.")
    kinds = (str.isupper, str.islower, str.isdigit)
    if len(password) < LONG and not all(any(map(kind, password)) for kind in kinds):
        raise WeakPassword(
            "A password needs an upper-case letter, a lower-case letter and a digit,"
            f" or at least {LONG} characters."
        )
    core = password.casefold().strip("0123456789!\"#$%&'()*+,-./:;<=>?@[]^_ ")
    if core in _COMMON or len(set(password.casefold())) < 4:
        raise WeakPassword(
            "This password is among the first that anybody would guess: take another."
        )


def verify(password_hash: str | None, password: str) -> bool:
    """Say whether the password is the one of the hash; None (no such account) takes as long."""
    with _AT_ONCE:
        try:
            _HASHER.verify(password_hash or _NOBODY, password[: MAXIMUM + 1])
        except (VerificationError, InvalidHash):
            return False
    return password_hash is not None


def encoded(secret: str) -> str:
    """Return the hash of a secret that need not be a good password, such as a code."""
    with _AT_ONCE:
        hashed: str = _HASHER.hash(secret)
    return hashed


def factor(account: str) -> bytes:
    """Return what the secret of an account's second factor is bound to."""
    return f"totp\0{account}".encode()


def set_password(db: Connection, name: str, password: str) -> None:
    """Give an administrator a password and end that account's sessions. Raises WeakPassword."""
    check(password)
    hashed = _HASHER.hash(password)
    with db.transaction():
        db.execute(
            "INSERT INTO account (name, password_hash) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE"
            " SET password_hash = excluded.password_hash, changed_at = now(), factory = false",
            [name, hashed],
        )
        db.execute("DELETE FROM session WHERE account = %s", [name])
        db.execute("DELETE FROM login_failure WHERE name = %s", [name])


def set_factory(db: Connection, name: str, *, only_if_missing: bool = False) -> bool:
    """Set an administrator back to the factory password; say whether that changed anything.

    The second factor is off and that account's sessions end. The password opens nothing but the
    page that sets another.
    """
    conflict = (
        "NOTHING"
        if only_if_missing
        else "UPDATE SET password_hash = excluded.password_hash, changed_at = now(),"
        " factory = true, totp_sealed = NULL, totp_step = 0"
    )
    hashed = _HASHER.hash(FACTORY)
    with db.transaction():
        changed = db.execute(
            "INSERT INTO account (name, password_hash, factory) VALUES (%s, %s, true)"
            f" ON CONFLICT (name) DO {conflict}",
            [name, hashed],
        ).rowcount
        if changed:
            db.execute("DELETE FROM session WHERE account = %s", [name])
            db.execute("DELETE FROM login_failure WHERE name = %s", [name])
    return bool(changed)
