"""Who took part in which call: asked of a PBX simulator, while extensions move."""

from datetime import timedelta
from typing import Any

from tests.service.rig import Rig

OWN = (
    "SELECT r.remote_id, u.name FROM recording_owner o JOIN recording r ON r.id = o.recording_id"
    " JOIN pbx_user u ON u.id = o.user_id ORDER BY 1, 2"
)
NAMES = {
    "200": "Alice Archer", "201": "Alice Archer", "202": "Bob Baker", "203": "Carol Clerk",
    "300_demonstration": "Dave Dealer", "301_demonstration": "Erin Ericson",
}  # fmt: skip


def expected(sim: Any) -> list[tuple[str, str]]:
    """Return each recording with each user whose extension took part, as the simulator has it."""
    return sorted(
        {
            (call["file"], NAMES[party])
            for call in sim.control("offered")["calls"]
            for party in (call["caller"], call["callee"])
            if party in NAMES
        }
    )


def test_a_call_is_owned_by_those_whose_extensions_took_part(rig: Rig, sim: Any) -> None:
    rig.poll()
    assert rig.rows(OWN) == expected(sim)
    assert rig.value("SELECT count(*) FROM ownership_due") == 0


def test_direction_and_names_follow_from_the_extensions(rig: Rig, sim: Any) -> None:
    rig.poll()
    rows = rig.rows(
        "SELECT caller, callee, direction::text, caller_name, callee_name, parties FROM recording"
    )
    ways = {(True, True): "internal", (True, False): "outbound", (False, True): "inbound"}
    for caller, callee, direction, caller_name, callee_name, parties in rows:
        assert direction == ways[caller in NAMES, callee in NAMES]
        assert (caller_name, callee_name) == (NAMES.get(caller, ""), NAMES.get(callee, ""))
        assert all(text.lower() in parties for text in (caller, callee, caller_name, callee_name))


def test_after_an_extension_moved_the_calls_before_stay_with_the_one_before(
    rig: Rig, sim: Any
) -> None:
    rig.poll()
    before = rig.rows(OWN)
    sim.control("give", extension="202", user="carol")
    rig.offset += timedelta(hours=1)
    rig.poll()
    assert rig.rows(OWN) == before
    sim.control("clock", offset_s=7200)
    rig.offset += timedelta(hours=1)
    added = sim.control("add_calls", company="default", count=40, ago_s=600)["files"]
    rig.poll()
    calls = {call["file"]: call for call in sim.control("offered")["calls"]}
    bobs = [file for file in added if "202" in (calls[file]["caller"], calls[file]["callee"])]
    assert bobs
    owners = rig.rows(OWN)
    for file in bobs:
        assert (file, "Carol Clerk") in owners
        assert (file, "Bob Baker") not in owners


def test_a_call_between_two_looks_that_differ_is_nobodys(rig: Rig, sim: Any) -> None:
    rig.poll()
    sim.control("clock", offset_s=7200)
    rig.offset += timedelta(hours=2)
    added = sim.control("add_calls", company="default", count=40, ago_s=600)["files"]
    sim.control("give", extension="202", user="carol")
    rig.poll()
    calls = {call["file"]: call for call in sim.control("offered")["calls"]}
    ambiguous = [
        file
        for file in added
        if {"202"} == {calls[file]["caller"], calls[file]["callee"]} & {*NAMES}
    ]
    assert ambiguous
    assert not {file for file, _ in rig.rows(OWN)} & {*ambiguous}
    assert rig.rows("SELECT DISTINCT direction FROM recording WHERE direction IS NULL") == []


def test_an_extension_given_back_to_nobody_owns_nothing(rig: Rig, sim: Any) -> None:
    rig.poll()
    sim.control("give", extension="202")
    rig.offset += timedelta(hours=1)
    rig.poll()
    sim.control("clock", offset_s=7200)
    rig.offset += timedelta(hours=1)
    added = sim.control("add_calls", company="default", count=30, ago_s=600)["files"]
    rig.poll()
    assert not [row for row in rig.rows(OWN) if row[0] in added and row[1] == "Bob Baker"]


def test_a_pbx_that_does_not_say_is_asked_again_and_loses_nothing(rig: Rig, sim: Any) -> None:
    sim.control("misbehave", what="http_500", on="other")
    rig.finish()
    offered = len(sim.control("offered")["calls"])
    assert rig.value("SELECT count(*) FROM recording WHERE state = 'stored'") == offered
    assert rig.value("SELECT count(*) FROM ownership_due") == offered
    assert rig.rows(OWN) == []
    sim.control("behave")
    rig.poll()
    assert rig.value("SELECT count(*) FROM ownership_due") == 0
    assert rig.rows(OWN) == expected(sim)
    assert rig.value("SELECT count(*) FROM recording WHERE direction IS NULL") == 0


def test_names_that_can_not_be_read_are_left_out_until_they_can(rig: Rig, sim: Any) -> None:
    sim.control("forbid", permission="comp")
    rig.poll()
    assert {name for _, name in rig.rows(OWN)} == {""}
    assert rig.value("SELECT count(*) FROM recording WHERE caller_name <> ''") == 0
