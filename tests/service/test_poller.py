"""Polls on a real PBX simulator: what is found, what is noted, and that nothing is missed."""

from datetime import timedelta
from typing import Any

from common.messages import PollerPbxChanged, PollerPollNow
from tests.service.rig import Rig


def offered(sim: Any) -> int:
    return len(sim.control("offered")["calls"])


def test_the_first_poll_lists_everything_that_the_pbx_has(rig: Rig, sim: Any) -> None:
    rig.finish()
    assert rig.rows("SELECT trigger::text, state::text, error FROM poll") == [
        ("first", "finished", None)
    ]
    assert rig.value("SELECT count(*) FROM recording") == offered(sim)
    assert rig.rows(
        "SELECT bool_and(polled = new), bool_and(first_seen), sum(failed), sum(polled)"
        " FROM poll_company"
    ) == [(True, True, 0, offered(sim))]


def test_a_later_poll_lists_what_is_new(rig: Rig, sim: Any) -> None:
    rig.finish()
    sim.control("add_calls", company="default", count=3, ago_s=60)
    rig.finish()
    last = rig.value("SELECT max(id) FROM poll")
    assert rig.value("SELECT trigger::text FROM poll WHERE id = %s", last) == "request"
    assert rig.value("SELECT sum(new) FROM poll_company WHERE poll_id = %s", last) == 3
    assert rig.value("SELECT count(*) FROM recording WHERE poll_id = %s", last) == 3


def test_a_recording_that_appears_late_is_found_within_a_day(rig: Rig, sim: Any) -> None:
    rig.finish()
    sim.control("add_calls", company="default", count=2, ago_s=5 * 3600)
    rig.finish()
    missed = offered(sim) - rig.value("SELECT count(*) FROM recording")
    rig.offset += timedelta(hours=24)
    rig.finish()
    assert rig.value("SELECT count(*) FROM recording") == offered(sim)
    assert missed == 2, "the overlap alone found it: the test proves nothing"


def test_companies_follow_the_managed_list(rig: Rig, sim: Any) -> None:
    rig.finish()
    sim.control("companies", managed=["default"])
    rig.finish()
    states = "SELECT name, state::text FROM company ORDER BY name"
    assert rig.rows(states) == [("default", "active"), ("demonstration", "suspended")]
    sim.control("companies", managed=["default", "demonstration"])
    rig.finish()
    assert rig.rows(states) == [("default", "active"), ("demonstration", "active")]
    assert rig.rows(
        "SELECT c.name FROM poll_company pc JOIN company c ON c.id = pc.company_id"
        " WHERE pc.reactivated"
    ) == [("demonstration",)]


def test_a_company_marked_for_deletion_stays_so(rig: Rig, sim: Any) -> None:
    rig.finish()
    rig.db.execute(
        "UPDATE company SET state = 'delete_pending', delete_requested_at = now(),"
        " delete_requested_by = 'sysadmin' WHERE name = 'demonstration'"
    )
    rig.finish()
    assert rig.value("SELECT state FROM company WHERE name = 'demonstration'") == "delete_pending"


def test_each_company_gets_a_key_once_that_the_poller_can_not_read(rig: Rig) -> None:
    rig.finish()
    rig.finish()
    assert rig.value("SELECT count(*) FROM company_key") == rig.value(
        "SELECT count(*) FROM company"
    )
    assert rig.value("SELECT bool_and(private_sealed IS NOT NULL) FROM company_key")


def test_when_the_pbx_is_away_then_the_poll_fails_in_words_and_is_tried_again_soon(
    rig: Rig, sim: Any
) -> None:
    rig.finish()
    sim.stop()
    rig.poll()
    assert "no connection" in rig.value("SELECT error FROM poll WHERE state = 'failed'")
    minutes = "SELECT extract(epoch FROM next_poll_at - now()) / 60 FROM poll_schedule"
    assert 4 < rig.value(minutes) < 6
    rig.offset += timedelta(minutes=6)
    rig.poll(trigger=False)
    assert rig.value("SELECT trigger::text FROM poll ORDER BY id DESC LIMIT 1") == "retry"
    assert rig.value("SELECT failures FROM poll_schedule") == 2


def test_a_wrong_token_fails_the_poll_until_there_is_a_new_one(rig: Rig, sim: Any) -> None:
    sim.control("revoke_key")
    rig.poll(trigger=False)
    assert "refuses the API token" in rig.value("SELECT error FROM poll")
    sim.control("restore_key")
    rig.finish()
    assert rig.value("SELECT count(*) FROM recording") == offered(sim)
    assert rig.value("SELECT failures FROM poll_schedule") == 0


def test_what_a_failed_poll_missed_is_in_the_next_one(rig: Rig, sim: Any) -> None:
    rig.finish()
    sim.control("add_calls", company="default", count=2, ago_s=60)
    sim.control("misbehave", what="garbage_json", share=1.0, on="list", seed=1)
    rig.finish()
    assert rig.value("SELECT error FROM poll ORDER BY id DESC LIMIT 1") is not None
    sim.control("behave")
    rig.offset += timedelta(hours=5)
    rig.finish()
    assert rig.value("SELECT count(*) FROM recording") == offered(sim)


def test_rows_that_can_not_be_used_are_reported_and_listed_again(rig: Rig, sim: Any) -> None:
    rig.finish()
    before = rig.value("SELECT min(listed_until) FROM company")
    sim.control("misbehave", what="wrong_type", share=1.0, on="list", seed=1)
    rig.poll()
    assert "can't be used" in rig.value(
        "SELECT error FROM poll_company WHERE error IS NOT NULL LIMIT 1"
    )
    assert rig.value("SELECT min(listed_until) FROM company") == before


def test_a_request_during_a_poll_starts_another_after_it(rig: Rig) -> None:
    rig.poll(trigger=False)
    with rig.db.transaction():
        rig.poller.on_poll_now(PollerPollNow(10, "test"))
    rig.poll(trigger=False)
    assert rig.value("SELECT count(*) FROM poll") == 1
    rig.fetch()
    rig.poll(trigger=False)
    rig.poll(trigger=False)
    assert rig.rows("SELECT trigger::text FROM poll ORDER BY id") == [("first",), ("request",)]


def test_a_poll_without_progress_ends_and_counts_what_is_missing(rig: Rig, sim: Any) -> None:
    rig.poll(trigger=False)
    assert rig.value("SELECT state::text FROM poll") == "fetching"
    rig.offset += timedelta(minutes=11)
    rig.poll(trigger=False)
    assert rig.value("SELECT state::text FROM poll WHERE id = 1") == "finished"
    assert rig.value("SELECT sum(failed) FROM poll_company WHERE poll_id = 1") == offered(sim)
    assert "not tried yet" in rig.value("SELECT error FROM poll WHERE id = 1")


def test_a_changed_period_changes_the_schedule(rig: Rig) -> None:
    rig.finish()
    rig.db.execute("UPDATE pbx SET poll_minutes = 360 WHERE id = 10")
    rig.poller.on_pbx_changed(PollerPbxChanged(10))
    hours = "SELECT extract(epoch FROM next_poll_at - now()) / 3600 FROM poll_schedule"
    assert 5.9 < rig.value(hours) <= 6


def test_a_suspended_pbx_is_not_polled(rig: Rig) -> None:
    rig.db.execute("UPDATE pbx SET state = 'suspended'")
    rig.poll()
    assert rig.value("SELECT count(*) FROM poll") == 0
