"""The menus: who sees which entry follows from the policies of the pages behind them."""

from dataclasses import dataclass

from flask import current_app, g, request, url_for

from webui.policy import allows

MAIN = (
    ("Home", "home.page"),
    ("Calls", "search.page"),
    ("Links", "links.page"),
    ("Companies", "companies.page"),
    ("Legal holds", "holds.page"),
    ("Audit log", "audit.page"),
    ("System", "system.page"),
    ("Settings", "mail.server"),
)
SETTINGS = (
    ("E-mail server", "mail.server"),
    ("Notifications", "mail.general"),
    ("Webhooks", "webhooks.page"),
    ("Backup", "backup.page"),
    ("Licence", "licence.page"),
    ("Administrators", "administrators.page"),
    ("Remote support", "support.page"),
    ("Upgrades", "upgrade.page"),
)


@dataclass(frozen=True)
class Entry:
    """A line of a menu; `here` where the page that is shown stands below it."""

    label: str
    address: str
    here: bool


def may(endpoint: str) -> bool:
    """Say whether the one who is logged in may open a page; false where there is no such page."""
    view, user = current_app.view_functions.get(endpoint), g.get("user")
    return view is not None and user is not None and allows(view.policy, user.role)  # type: ignore[attr-defined]


def entries(lines: tuple[tuple[str, str], ...]) -> list[Entry]:
    """Return the lines of a menu that the one who is logged in may use."""
    settings = {endpoint.split(".")[0] for _, endpoint in SETTINGS}
    found = []
    for label, endpoint in lines:
        if not may(endpoint):
            continue
        if lines is SETTINGS:
            here = request.path.startswith(url_for(endpoint))
        elif label == "Settings":
            here = request.blueprint in settings
        else:
            here = request.blueprint == endpoint.split(".")[0]
        found.append(Entry(label, url_for(endpoint), here))
    return found
