"""Whose calls somebody finds and hears: the one condition that every query of a call carries."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scope:
    """All calls, or those of some companies and those in which a PBX user took part."""

    everything: bool = False
    user_id: int | None = None
    companies: tuple[int, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what CONDITION refers to."""
        return {
            "everything": self.everything,
            "user": self.user_id,
            "companies": list(self.companies),
        }


EVERYTHING = Scope(everything=True)

# on a recording r
CONDITION = (
    "(%(everything)s OR r.company_id = ANY(%(companies)s::integer[]) OR EXISTS (SELECT FROM"
    " recording_owner o WHERE o.recording_id = r.id AND o.user_id = %(user)s))"
)
