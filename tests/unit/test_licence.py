"""Licences and activation codes: the vendor's side is written apart and must agree with ours."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import licence
from common.licence import LicenceRefused
from simulators.licence.vendor import Vendor

BOX = UUID("6f1f4f0e-54a3-4c0c-9c51-3a0d5f6f0d11")


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A vendor."""
    return Vendor(tmp_path_factory.mktemp("vendor"))


def signed(vendor: Vendor, **other: Any) -> dict[str, Any]:
    body = {"serial": "12100006", "box": str(BOX), "pbxs": 2, "activated": "2026-05-04"}
    return vendor.sign(**{**body, "support_until": "2027-05-04", **other})


def test_a_code_of_the_vendor_is_read_however_it_is_typed(vendor: Vendor) -> None:
    for _ in range(50):
        code = vendor.sell()
        assert len(code) == 38
        for typed in (code, code.lower(), code.replace("-", ""), f"  {code.replace('-', ' ')} "):
            assert licence.read_code(typed) == code
        assert licence.read_code(code.replace("0", "o").replace("1", "l")) == code


@settings(max_examples=300)
@given(at=st.integers(0, 35), letter=st.sampled_from(licence.ALPHABET))
def test_most_typing_mistakes_are_seen_before_anybody_is_asked(at: int, letter: str) -> None:
    good = "7" * 34
    good += licence.checksum(good)
    typed = good[:at] + letter + good[at + 1 :]
    if typed != good and licence.checksum(typed[:-2]) != typed[-2:]:
        with pytest.raises(LicenceRefused, match="typing mistake"):
            licence.read_code(typed)


@pytest.mark.parametrize("typed", ["", "x", "É" * 36, "7" * 35, "7" * 37, "U" * 36, "7-" * 18])
def test_what_is_no_code_is_called_so(typed: str) -> None:
    with pytest.raises(LicenceRefused, match="38 characters"):
        licence.read_code(typed)


def test_a_licence_says_what_the_vendor_signed(vendor: Vendor) -> None:
    key = licence.public_key(vendor.public_key)
    found = licence.verify(json.dumps(signed(vendor)), key, BOX)
    assert (found.serial, found.pbxs, found.box) == ("12100006", 2, BOX)
    assert found.support_until.isoformat() == "2027-05-04"
    licence.verify(json.dumps(signed(vendor), indent=3, sort_keys=True), key, BOX)


def altered(document: dict[str, Any], **members: Any) -> str:
    return json.dumps({**document, "licence": {**document["licence"], **members}})


def test_whatever_is_altered_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    key, good = licence.public_key(vendor.public_key), signed(vendor)
    other = signed(Vendor(tmp_path))
    for text, words in (
        ("", "not a licence"),
        ("[]", "not a licence"),
        ("{}", "not a licence"),
        ("[" * 100_000, "not a licence"),
        (json.dumps({"licence": [], "signature": "AA=="}), "signature is wrong"),
        (json.dumps({**good, "signature": "AA=="}), "signature is wrong"),
        (altered(good, pbxs=99), "signature is wrong"),
        (altered(good, more=1), "signature is wrong"),
        (json.dumps(other), "signature is wrong"),
        (json.dumps(signed(vendor, box=str(uuid4()))), "for another box"),
        (json.dumps(signed(vendor, pbxs=0)), "newer release"),
        (json.dumps(signed(vendor, activated="soon")), "newer release"),
    ):
        with pytest.raises(LicenceRefused, match=words):
            licence.verify(text, key, BOX)
