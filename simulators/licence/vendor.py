"""The vendor of CallStash: makes activation codes, signs licences, and remembers who has which.

It shares no code with CallStash, so that the two check each other.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Refused(Exception):
    """A request that is not granted: an HTTP status and a word."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status, self.word = status, word


@dataclass
class Contract:
    """What was sold under a code; `box` is the one that activated it."""

    serial: str
    pbxs: int
    support_until: str
    expires: str
    box: str = ""
    activated: str = ""
    cancelled: bool = False


class Vendor:
    """The vendor's key and contracts, kept in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._contracts = directory / "contracts.json"
        key = directory / "vendor.key"
        if not key.exists():
            made = Ed25519PrivateKey.generate()
            key.touch(mode=0o600)
            key.write_bytes(made.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
        self.key = Ed25519PrivateKey.from_private_bytes(key.read_bytes())
        known = json.loads(self._contracts.read_text()) if self._contracts.exists() else {}
        self.contracts = {code: Contract(**contract) for code, contract in known.items()}

    @property
    def public_key(self) -> str:
        """The public half in base64, as it stands in CallStash's configuration."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode()

    def save(self) -> None:
        """Keep the contracts."""
        text = json.dumps({code: asdict(one) for code, one in self.contracts.items()}, indent=1)
        self._contracts.write_text(text)

    def sell(self, pbxs: int = 3, months: int = 12, valid_days: int = 90) -> str:
        """Return a new activation code."""
        letters = "".join(secrets.choice(LETTERS) for _ in range(34))
        digest = hashlib.sha256(letters.encode()).digest()
        bits = (digest[0] << 8 | digest[1]) >> 6
        letters += LETTERS[bits // 32] + LETTERS[bits % 32]
        code = "-".join((letters[:12], letters[12:24], letters[24:]))
        today = datetime.now(UTC).date()
        self.contracts[code] = Contract(
            serial=str(12100000 + len(self.contracts) + 1),
            pbxs=pbxs,
            support_until=str(today + timedelta(days=30 * months)),
            expires=str(today + timedelta(days=valid_days)),
        )
        self.save()
        return code

    def activate(self, code: str, box: str) -> dict[str, Any]:
        """Return the licence for a code; the same box gets it again. Raises Refused."""
        contract = self.contracts.get(code)
        if contract is None:
            raise Refused(404, "unknown")
        if contract.box and contract.box != box:
            raise Refused(409, "used")
        if not contract.box and date.fromisoformat(contract.expires) < datetime.now(UTC).date():
            raise Refused(410, "expired")
        if not contract.box:
            contract.box, contract.activated = box, str(datetime.now(UTC).date())
            self.save()
        return self._document(contract)

    def refresh(self, serial: str, box: str) -> dict[str, Any]:
        """Return the licence as it is now. Raises Refused."""
        for contract in self.contracts.values():
            if (contract.serial, contract.box) == (serial, box):
                return self._document(contract)
        raise Refused(404, "unknown")

    def _document(self, contract: Contract) -> dict[str, Any]:
        if contract.cancelled:
            raise Refused(410, "cancelled")
        return self.sign(
            contract.serial, contract.box, contract.pbxs, contract.activated,
            contract.support_until,
        )  # fmt: skip

    def sign(
        self, serial: str, box: str, pbxs: int, activated: str, support_until: str
    ) -> dict[str, Any]:
        """Return a signed licence."""
        body = {
            "serial": serial,
            "box": box,
            "pbxs": pbxs,
            "activated": activated,
            "support_until": support_until,
            "issued": datetime.now(UTC).isoformat(),
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        signature = self.key.sign(b"callstash licence v1\n" + text.encode())
        return {"licence": body, "signature": base64.b64encode(signature).decode()}
