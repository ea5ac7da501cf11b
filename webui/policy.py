"""Who may do what: each route names its policy; with one that names none nothing starts.

The table here is the only place that says which role may do what.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, TypeVar

from flask import Flask

View = TypeVar("View", bound=Callable[..., Any])


class Policy(Enum):
    """What a route needs."""

    PUBLIC = auto()  # nothing: the login page and files without data
    OWN = auto()  # to look after one's own account
    SEE = auto()  # to read settings, states and lists of calls
    MANAGE = auto()  # to change or start something
    FIND = auto()  # to find calls: which, the scope of the session says
    HEAR = auto()  # anything that comes from the sound of a call that one finds


USER = "user"  # the role of all PBX users; those of administrators are the names of their accounts
_ROLES = {
    Policy.OWN: frozenset({"sysadmin", "admin"}),
    Policy.SEE: frozenset({"sysadmin", "admin"}),
    Policy.MANAGE: frozenset({"sysadmin"}),
    Policy.FIND: frozenset({"sysadmin", "admin", USER}),
    Policy.HEAR: frozenset({"sysadmin", USER}),
}


def allows(policy: Policy, role: str | None) -> bool:
    """Say whether somebody in a role (None: not logged in) may use routes with this policy."""
    return policy is Policy.PUBLIC or role in _ROLES[policy]


def requires(policy: Policy, *, page: bool = True) -> Callable[[View], View]:
    """Name the policy of a route; `page` is false where a script or a player asks, not a person."""

    def mark(view: View) -> View:
        view.policy = policy  # type: ignore[attr-defined]
        view.is_page = page  # type: ignore[attr-defined]
        return view

    return mark


def check(app: Flask) -> None:
    """Raise RuntimeError where a route of `app` names no policy."""
    for rule in app.url_map.iter_rules():
        if not isinstance(getattr(app.view_functions[rule.endpoint], "policy", None), Policy):
            raise RuntimeError(f"the route {rule.rule} names no policy")
