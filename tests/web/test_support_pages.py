"""The page of remote support."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from common import support
from tests.web.browser import Browser

PAGE = "/settings/support"


@pytest.fixture
def files(app: Flask, tmp_path: Path) -> Path:
    """Where requests are written, as the package sets it up."""
    shared = app.extensions["callstash"]
    directory = tmp_path / "support"
    directory.mkdir()
    app.extensions["callstash"] = replace(
        shared, settings=replace(shared.settings, support_directory=directory)
    )
    return directory


def test_support_is_asked_for_shown_and_ended(
    files: Path, sysadmin: Browser, audit: Callable[[], list[Any]]
) -> None:
    assert "Inactive" in sysadmin.get(PAGE).text
    sysadmin.post("/settings/support/connect", page=PAGE)
    asked = support.wanted(files)
    assert asked is not None and asked.by == "sysadmin"
    now = datetime.now(UTC)
    support.report(files, support.Status("active", "", 40123, 2, now), now)
    page = sysadmin.get(PAGE).text
    assert "Active" in page and "40123" in page and "Disconnect" in page
    sysadmin.post("/settings/support/disconnect", page=PAGE)
    assert support.wanted(files) is None
    actions = [action for _, action, _ in audit()]
    assert actions[-2:] == ["support.connect", "support.disconnect"]


def test_on_a_machine_without_the_service_nothing_is_asked_or_noted(
    files: Path, sysadmin: Browser, audit: Callable[[], list[Any]]
) -> None:
    files.rmdir()
    sysadmin.post("/settings/support/connect", page=PAGE)
    assert "not installed on this machine" in sysadmin.get(PAGE).text
    assert "support.connect" not in [action for _, action, _ in audit()]


def test_only_administrators_who_manage_the_box_open_it(
    files: Path, log_in: Callable[[str], Browser], as_user: Callable[..., Browser], archive: Any
) -> None:
    user = as_user(archive.user("alice"))
    assert user.post("/settings/support/connect", page="/calls").status_code in (403, 404)
    assert support.wanted(files) is None
