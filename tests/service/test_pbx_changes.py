"""What the daemons do when an administrator refreshes companies or suspends and resumes a PBX."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from common import commands
from common.commands import Answer
from common.messages import PollerPbxChanged
from tests.service.rig import Rig


def refresh(rig: Rig) -> Answer | None:
    """Ask for the list of companies as the web UI does, and let the poller work."""
    web = rig.connect_as("web")
    with web.transaction():
        command: UUID = commands.ask(web, "poller", "companies.refresh", {"pbx": 10}, "sysadmin")
    rig.poll(trigger=False)
    return commands.wait(web, command, 0)


def read(new: int, gone: int, back: int) -> Answer:
    return Answer(
        True, f"The list was read: {new} new, {gone} gone and now suspended, {back} back."
    )


def states(rig: Rig) -> dict[str, str]:
    return dict(rig.rows("SELECT name, state::text FROM company"))


def waiting(rig: Rig) -> Any:
    return rig.value("SELECT count(*) FROM recording WHERE state = 'listed'")


def test_a_refresh_between_polls_says_who_is_new_gone_and_back(rig: Rig, sim: Any) -> None:
    rig.finish()
    polls = rig.value("SELECT count(*) FROM poll")
    sim.control("companies", managed=["default", "company_c_540"])
    assert refresh(rig) == read(1, 1, 0)
    assert states(rig) == {
        "default": "active", "demonstration": "suspended", "company_c_540": "active"
    }  # fmt: skip
    sim.control("companies", managed=["default", "demonstration"])
    assert refresh(rig) == read(0, 1, 1)
    assert rig.value("SELECT count(*) FROM poll") == polls
    rig.finish()
    assert rig.value("SELECT count(*) FROM recording WHERE state <> 'stored'") == 0


def test_a_refresh_leaves_a_company_marked_for_deletion_so(rig: Rig, sim: Any) -> None:
    rig.finish()
    rig.db.execute(
        "UPDATE company SET state = 'delete_pending', delete_requested_at = now(),"
        " delete_requested_by = 'sysadmin' WHERE name = 'demonstration'"
    )
    assert refresh(rig) == read(0, 0, 0)
    assert states(rig)["demonstration"] == "delete_pending"


def test_a_refresh_that_fails_says_why_and_changes_nothing(rig: Rig, sim: Any) -> None:
    rig.finish()
    before = states(rig)
    sim.control("revoke_key")
    answer = refresh(rig)
    assert answer is not None
    assert not answer.succeeded
    assert "refuses the API token" in answer.answer
    assert states(rig) == before


def test_suspending_stops_polls_and_downloads_and_resuming_completes_them(
    rig: Rig, sim: Any
) -> None:
    rig.poll()
    listed = waiting(rig)
    assert listed > 0
    rig.db.execute("UPDATE pbx SET state = 'suspended'")
    rig.fetch()
    rig.poll()
    assert waiting(rig) == listed, "something was fetched from a suspended PBX"
    assert rig.value("SELECT finished_at FROM poll") is None
    rig.offset += timedelta(minutes=2)
    rig.poll()
    assert rig.rows("SELECT state::text, error FROM poll") == [
        ("finished", "the PBX was suspended: the rest waits")
    ]
    sim.control("add_calls", company="default", count=3, ago_s=60)
    rig.offset += timedelta(days=2)
    rig.poll()
    assert rig.value("SELECT count(*) FROM poll") == 1
    rig.db.execute("UPDATE pbx SET state = 'active'")
    rig.poller.on_pbx_changed(PollerPbxChanged(10))
    rig.finish()
    assert waiting(rig) == 0
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'stored'") == listed + 3


def test_a_change_lets_a_pbx_whose_polls_fail_be_tried_again_within_minutes(
    rig: Rig, sim: Any
) -> None:
    rig.finish()
    rig.db.execute("UPDATE pbx SET poll_minutes = 1440")
    sim.control("revoke_key")
    for _ in range(5):
        rig.poll()
    sim.control("restore_key")
    rig.poller.on_pbx_changed(PollerPbxChanged(10))
    minutes = "SELECT extract(epoch FROM next_poll_at - now()) / 60 FROM poll_schedule"
    assert 0 < rig.value(minutes) < 6
    assert rig.value("SELECT failures FROM poll_schedule") == 5
