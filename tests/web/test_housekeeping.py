"""The page of the housekeeping: what was deleted, and the confirmation that the brake asks for."""

from collections.abc import Callable
from typing import Any

import pytest

from common.db import Connection
from tests.web.browser import Browser


@pytest.fixture
def braked(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that the brake stopped last night, and a finished one of the night before."""
    monkeypatch.setattr("common.commands.PATIENCE", 0.1)
    for state, deleted in (("finished", 12), ("braked", 0)):
        db.execute(
            "INSERT INTO purge (asked_by, state, started_at, finished_at, archive_calls,"
            " planned_calls, planned_bytes, held_calls, deleted_calls) VALUES ('housekeeper', %s,"
            " now() - interval '1 hour', now(), 5000, 4321, 1920000, 7, %s)",
            [state, deleted],
        )


def test_the_brake_is_said_on_the_home_page_and_explained(
    braked: None, sysadmin: Browser, log_in: Callable[[str], Browser], look: Callable[[], object]
) -> None:
    look()
    assert "4,321 recordings would be deleted, more than usual" in sysadmin.get("/").text
    page = sysadmin.get("/housekeeping").text
    assert "Nothing was deleted: confirm it first" in page
    assert "stopped: 4,321 were too many" in page
    assert "Delete them" in page
    assert "Delete them" not in log_in("admin").get("/housekeeping").text


@pytest.mark.parametrize("typed", ["", "4320", "yes", "4321x"])
def test_another_number_confirms_nothing(
    braked: None, sysadmin: Browser, db: Connection, typed: str
) -> None:
    answer = sysadmin.post("/housekeeping/permit", page="/housekeeping", calls=typed)
    assert answer.status_code == 422
    assert "Enter 4,321 to confirm it." in answer.text
    assert db.execute("SELECT count(*) FROM purge_permit").fetchone() == (0,)


@pytest.mark.parametrize("typed", ["4321", "4,321"])
def test_the_number_confirms_one_deletion(
    braked: None,
    sysadmin: Browser,
    db: Connection,
    audit: Callable[[], list[Any]],
    typed: str,
) -> None:
    answer = sysadmin.post("/housekeeping/permit", page="/housekeeping", calls=typed)
    assert answer.status_code == 303
    row = db.execute("SELECT calls, granted_by FROM purge_permit").fetchone()
    assert row == (4321, "sysadmin")
    assert db.execute("SELECT daemon, kind FROM command").fetchall() == [
        ("housekeeper", "purge.run")
    ]
    assert ("sysadmin", "purge.permit", "purge:2") in audit()
    assert "confirm it first" not in sysadmin.get("/housekeeping").text
    assert sysadmin.post("/housekeeping/permit", page="/housekeeping", calls=typed).status_code == (
        404
    )
