"""Who is with whom in Asterisk, by what it really told; and by what gets lost, comes twice, late or is made up."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.asterisk import floor as floors
from qm_sip.asterisk.floor import Company, Floor
from qm_sip.asterisk.message import Message
from tests.beside.streams import NAMES, enters, event, leaves, on, stream, who


def legs_of(messages: Iterable[Message]) -> dict[str, str]:
    """Our legs in a stream, by their channels' names: those of the endpoint qm-sip."""
    found = {}
    for message in messages:
        for prefix in ("", "Dest"):
            name, leg = message.get(f"{prefix}Channel"), message.variables(prefix).get("QM_LEG")
            if name.startswith("PJSIP/qm-sip-") and leg:
                found[leg] = name
    return found


def play(messages: list[Message]) -> tuple[Floor, dict[str, list[Company]]]:
    """What is told of each of our legs, in order."""
    ours = legs_of(messages)
    floor = Floor(lambda leg: leg in ours)
    told: dict[str, list[Company]] = {leg: [] for leg in ours}
    for message in messages:
        for company in floor.told(message):
            if company.leg in ours:
                told[company.leg].append(company)
    return floor, told


def back_leg(told: dict[str, list[Company]], messages: list[Message]) -> list[Company]:
    """The first of our legs that Asterisk calls an agent for."""
    names = legs_of(messages)
    parents = {message.variables().get("QM_PARENT") for message in messages}
    return next(told[leg] for leg in names if leg in parents)


def test_a_queue_call_and_a_hold() -> None:
    messages = stream("queue-hold")
    floor, told = play(messages)
    agents = back_leg(told, messages)
    assert [who(company) for company in agents] == [[], ["1001"], ["1001"], ["1001"], []]
    assert [[one.holds for one in company.presents] for company in agents[1:4]] == [[False], [True], [False]]
    customers = next(list(map(who, c)) for c in told.values() if c is not agents)
    assert customers == [[], ["0612345678"], []]
    assert len(floor) == 0


def test_blind_the_second_agent_is_the_next_who_is_there() -> None:
    messages = stream("blind")
    _, told = play(messages)
    assert [who(company) for company in back_leg(told, messages)] == [[], ["1001"], [], ["1002"]]


def test_attended_the_second_agent_is_there_and_for_a_moment_it_looks_like_a_conference() -> None:
    messages = stream("attended")
    _, told = play(messages)
    agents = back_leg(told, messages)
    assert [who(company) for company in agents][-3:] == [["1001"], [], ["1002"]]
    assert [len(one.others) for one in agents[-3].presents] == [1]
    assert agents[-1].presents[0].others == ()


def test_three_in_one_phone_share_what_they_hear_until_one_goes() -> None:
    messages = stream("three-way")
    _, told = play(messages)
    shared = [[one.others for one in company.presents] for company in back_leg(told, messages)]
    assert [bool(one and one[0]) for one in shared] == [False, False, False, True, False]


def test_whoever_picks_up_is_there_and_not_he_whose_phone_rang() -> None:
    messages = stream("pickup")
    _, told = play(messages)
    assert [who(company) for company in back_leg(told, messages)] == [[], ["1002"]]


def test_a_third_in_the_bridge_is_seen_and_his_leaving() -> None:
    floor = Floor(lambda leg: leg == "L")
    floor.told(enters("B", "PJSIP/qm-sip-1", "1.1", leg="L"))
    floor.told(enters("B", "PJSIP/1001-1", "1.2", number="1001"))
    (company,) = floor.told(enters("B", "PJSIP/1900-1", "1.3", number="1900"))
    assert who(company) == ["1001", "1900"]
    (company,) = floor.told(leaves("B", "PJSIP/1900-1", "1.3"))
    assert who(company) == ["1001"]


def test_behind_a_local_channel_is_whoever_is_in_its_other_halfs_bridge() -> None:
    floor = Floor(lambda leg: leg == "L")
    floor.told(enters("B", "PJSIP/qm-sip-1", "1.1", leg="L"))
    floor.told(enters("B", "Local/1001@x-1;1", "1.2"))
    assert who(floor.company("L") or Company("", ())) == []
    floor.told(enters("C", "Local/1001@x-1;2", "1.3"))
    floor.told(enters("C", "PJSIP/1001-1", "1.4", number="1001"))
    company = floor.company("L")
    assert company is not None and who(company) == ["1001"]


def test_a_withheld_number_does_not_hide_whose_phone_it_is() -> None:
    floor = Floor(lambda leg: leg == "L")
    floor.told(enters("B", "PJSIP/qm-sip-1", "1.1", leg="L"))
    (company,) = floor.told(enters("B", "PJSIP/1900-1", "1.2"))
    assert who(company) == ["1900"]


def test_a_trunk_with_many_calls_makes_no_conference_nor_do_our_own_legs() -> None:
    floor = Floor(lambda leg: leg.startswith("L"))
    for number in range(1, 6):
        floor.told(
            enters(f"B{number}", f"PJSIP/qm-sip-{number}", f"1.{number}", leg=f"L{number}", number="3001")
        )
        floor.told(enters(f"B{number}", f"PJSIP/trunk-{number}", f"2.{number}", number=f"06{number}"))
        floor.told(enters(f"B{number}", f"PJSIP/trunk-9{number}", f"3.{number}"))  # withheld
    for number in range(1, 6):
        company = floor.company(f"L{number}")
        assert company is not None and not any(one.others for one in company.presents)


# --------------------------------------------------------------------------- events that misbehave


@pytest.mark.parametrize("name", NAMES)
def test_told_twice_is_told_once(name: str) -> None:
    messages = stream(name)
    _, once = play(messages)
    _, twice = play([message for message in messages for _ in range(2)])
    assert once == twice


def state(floor: Floor) -> dict[str, object]:
    return {leg: floor.company(leg) for leg in legs_of(stream("attended"))}


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_lost_a_look_around_makes_good(name: str) -> None:
    """The list that is asked for at each connection, made from what was true, after any events at all."""
    messages, rng = stream(name), random.Random(name)
    whole, _ = play(messages)
    snapshot = [
        Message(
            (
                ("Event", "CoreShowChannel"),
                *on(c.name, c.id, leg=c.leg, number=c.number).items(),
                ("BridgeId", c.bridge),
            )
        )
        for c in whole._channels.values()
    ]
    for _ in range(20):
        floor, _ = play(rng.sample(messages, rng.randrange(len(messages))))
        floor.around(snapshot)
        for leg in legs_of(messages):
            expected, found = whole.company(leg), floor.company(leg)
            assert (who(expected) if expected else None) == (who(found) if found else None)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_gone_is_not_brought_back_by_an_event_that_was_late(name: str) -> None:
    messages, rng = stream(name), random.Random(name)
    floor, _ = play(messages)
    before = len(floor)
    for message in rng.sample(messages, len(messages)):
        if message.event in ("Hold", "Unhold", "BridgeEnter", "Newstate", "DialEnd"):
            gone = floor.channel(message.get("Uniqueid")) is None
            floor.told(message)
            assert not gone or floor.channel(message.get("Uniqueid")) is None
    assert len(floor) <= before


names = st.sampled_from(
    ["PJSIP/1001-1", "PJSIP/qm-sip-2", "Local/x@y-1;1", "Local/x@y-1;2", "odd", "-", ";1"]
)
ids = st.sampled_from(["1.1", "1.2", "1.3", "", "x"])
keys = st.fixed_dictionaries(
    {"Channel": names, "Uniqueid": ids, "BridgeUniqueid": st.sampled_from(["A", "B", ""])},
    optional={
        "SwapUniqueid": ids,
        "DestChannel": names,
        "DestUniqueid": ids,
        "ChannelState": st.sampled_from(["6", "x", ""]),
        "CallerIDNum": st.sampled_from(["1001", "", "<unknown>"]),
        "ConnectedLineNum": st.sampled_from(["1002", "\ufffd"]),
        "ChanVariable": st.sampled_from(["QM_LEG=L", "QM_LEG=M", "QM_PARENT=L", "=", ""]),
        "BridgeId": st.sampled_from(["A", "C"]),
    },
)
kinds = st.sampled_from(
    ["BridgeEnter", "BridgeLeave", "BridgeDestroy", "Hangup", "Hold", "Unhold", "Newstate", "UserEvent"]
)


@given(st.lists(st.tuples(kinds, keys), max_size=40))
def test_no_events_in_any_order_break_the_map(told: list[tuple[str, dict[str, str]]]) -> None:
    floor = Floor(lambda leg: leg == "L")
    for kind, fields in told:
        floor.told(event(kind, **fields))
        for bridge, members in floor._bridges.items():
            assert members and all(floor._channels[id].bridge == bridge for id in members)
        assert set(floor._names.values()) <= set(floor._channels)
    floor.around(event("CoreShowChannel", **fields) for _, fields in told)
    for id in ("1.1", "1.2", "1.3", "x"):
        floor.told(event("Hangup", Uniqueid=id))
    assert len(floor) == 0 and not floor._bridges and not floor._legs and not floor._phones


def test_it_remembers_no_more_than_an_asterisk_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "MOST", 10)
    floor = Floor(lambda leg: False)
    for number in range(100):
        floor.told(event("Newchannel", **on(f"PJSIP/x-{number}", f"1.{number}")))
    assert len(floor) == 10
    for number in range(100):
        floor.told(event("Hangup", Uniqueid=f"1.{number}"))
    assert len(floor) == 0 and len(floor._dead) <= 10
