"""One of each thing that a page is about, and the addresses of all pages with them."""

import re
from dataclasses import dataclass, field
from uuid import UUID

from flask import Flask

NOT_PAGES = re.compile(
    r"/(audio|original|wav|peaks|evidence|static/.*|logout|login.*|activate)$|\.(csv|zip)$"
)
ARGUMENT = re.compile(r"<(?:[^:>]+:)?(\w+)>")


@dataclass
class World:
    """`known` gives each argument of a route something that exists."""

    app: Flask
    known: dict[str, str] = field(default_factory=dict)

    def routes(self) -> list[tuple[str, str]]:
        """Return each method and rule of the URL map."""
        return [
            (method, rule.rule)
            for rule in self.app.url_map.iter_rules()
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        ]

    def fill(self, rule: str, **other: str) -> str:
        """Return a rule as an address of what exists, or of `other`."""
        return ARGUMENT.sub(lambda found: (self.known | other)[found[1]], rule)

    def pages(self) -> list[str]:
        """Return the address of every page that a person who is logged in reads."""
        return [
            self.fill(rule)
            for method, rule in self.routes()
            if method == "GET" and not NOT_PAGES.search(rule)
        ]

    @property
    def missing(self) -> dict[str, str]:
        """Return arguments of what does not exist, for those that name a thing."""
        nothing = {
            "_id": "999999",
            "token": "x" * 43,
            "recording_id": str(UUID(int=7)),
            "session_id": str(UUID(int=7)),
        }
        return {
            name: nothing.get(name, nothing["_id"])
            for name in self.known
            if name.endswith("_id") or name in nothing
        }
