"""What was typed into a form, and what is wrong with it: shown again beside each field.

A view reads its fields; each reader notes what is wrong under the field's name. What was typed is
kept, passwords and tokens apart.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from flask import request


class Form:
    """Values by field, as text, and errors by field, as sentences."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = {name: "" if value is None else str(value) for name, value in values.items()}
        self.errors: dict[str, str] = {}

    @classmethod
    def sent(cls) -> "Form":
        """Return the form that this request carries."""
        return cls(request.form)

    def fail(self, field: str, error: str) -> None:
        """Say what is wrong with a field; the first word on it stands."""
        self.errors.setdefault(field, error)

    def text(self, field: str, missing: str | None = None, longest: int = 200) -> str:
        """Return a line without spaces around it; `missing` is said where it is empty."""
        value = self.values.get(field, "").strip()
        self.values[field] = value
        if missing and not value:
            self.fail(field, missing)
        elif len(value) > longest:
            self.fail(field, f"This has {len(value)} characters; {longest} are the most.")
        elif any(ord(letter) < 32 and letter not in "\r\n\t" for letter in value):
            self.fail(field, "This has characters that can't be typed. Type it again.")
        return value

    def secret(self, field: str, longest: int = 1024) -> str:
        """Return a password or token, which is not shown again."""
        value = self.values.pop(field, "")
        if len(value) > longest:
            self.fail(field, f"This has {len(value)} characters; {longest} are the most.")
        return value

    def choice(self, field: str, options: Collection[str]) -> str:
        """Return one of the options, as a radio button or a list offers them."""
        value = self.values.get(field, "")
        if value not in options:
            self.fail(field, "Choose one of these.")
        return value

    def number(self, field: str, least: int, most: int) -> int:
        """Return a whole number; `least` where it is none, and that is noted."""
        value = self.text(field)
        if value.isascii() and value.isdigit() and least <= int(value[:20]) <= most:
            return int(value)
        self.fail(field, f"Enter a whole number from {least} to {most}.")
        return least

    def day(self, field: str, zone: tzinfo | None, days: int = 0) -> datetime | None:
        """Return the instant at which a day begins in a zone, `days` later; None: none is given."""
        text = self.text(field, longest=10)
        if not text:
            return None
        try:
            day = date.fromisoformat(text) + timedelta(days=days)
            return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(field, "Enter a day, such as 2026-03-31.")
            return None

    def flag(self, field: str) -> bool:
        """Return whether a box is ticked."""
        return self.values.get(field, "") == "yes"
