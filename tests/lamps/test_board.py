"""Lamps of running calls: seen by phones that subscribe, in a world with the real engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.states import State
from qm_sip.call.switchboard import Settings
from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.policy.facts import PersonId
from qm_sip.sip.message import Request
from qm_sip.sip.sdp import Direction
from qm_sip.trace.calls import BoardCalls
from qm_sip.trace.tap import Belongs, Whose
from tests.call.test_journeys import answering
from tests.call.test_listening import supervisor
from tests.call.world import PBX, World, settings
from tests.lamps.keys import FOREIGN, Key, brute, lighten, use, with_watchers
from tests.sip.subscriber import Dialog

A1 = PersonId("a1")


def talking(line: str = "sales", number: str = "1001", caller: str = "0612345678") -> World:
    world = World()
    lighten(world)
    answering(world)
    world.dial(number, line=line, caller=caller)
    world.run(6.0)
    return world


def keys(world: World, device: str = "1001", extension: str = "1001") -> dict[Kind, Key]:
    return {kind: Key(world, f"{kind}-{extension}", device) for kind in Kind}


def showing(found: dict[Kind, Key]) -> set[Kind]:
    return {kind for kind, key in found.items() if key.lit}


def test_a_recorded_call_from_the_notice_to_its_end() -> None:
    world = World()
    lighten(world)
    answering(world)
    agent = keys(world)
    assert all(key.status == 200 and key.lit is False for key in agent.values())
    world.dial("1001", line="sales")
    world.run(0.3)
    assert showing(agent) == set(), "the customer is being told"
    world.run(4.0)
    assert showing(agent) == {Kind.RECORDING}
    world.hang_up(world.caller)
    world.run(1.5)
    assert showing(agent) == set()
    assert agent[Kind.RECORDING].shows == [False, True, False] and len(agent[Kind.PRIVATE].notified) == 1


def test_private_shows_in_the_step_in_which_it_is_so_and_not_when_it_is_asked() -> None:
    world = talking()
    agent = keys(world)
    assert showing(agent) == {Kind.RECORDING} and world.agent is not None
    world.run(2.0)
    world.press(world.agent, "*")
    world.run(0.1)
    assert showing(agent) == {Kind.RECORDING}, "half a code is nothing"
    world.press(world.agent, "1")
    world.run(0.1)
    assert showing(agent) == {Kind.PRIVATE}
    world.run(5.0)
    assert showing(agent) == {Kind.PRIVATE}, "the two talk directly"
    world.hang_up(world.caller)
    world.run(1.5)
    assert showing(agent) == set()


def test_a_supervisor_sees_the_same_of_private_objected_hold_and_the_end() -> None:
    seen = []
    for what in ("private", "objected", "end"):
        world = talking()
        coach = {kind: Key(world, f"{kind}-1001", "1050") for kind in Kind}
        assert coach[Kind.PRIVATE].status == coach[Kind.PRESET].status == 403 and coach[Kind.RECORDING].lit
        world.run(2.0)
        assert world.agent is not None
        if what == "end":
            world.hang_up(world.caller)
        else:
            world.press(world.agent, "*1" if what == "private" else "*8")
        world.run(4.0)
        seen.append((coach[Kind.RECORDING].shows, coach[Kind.HEARD].shows, coach[Kind.PRIVATE].notified))
    assert seen[0] == seen[1] == seen[2] == ([True, False], [False], [])


def test_hold_and_pause_darken_the_recording() -> None:
    world = talking()
    agent = keys(world)
    assert world.agent is not None
    world.hold(world.agent, Direction.SENDONLY)
    world.run(1.5)
    assert showing(agent) == set()
    world.hold(world.agent, Direction.SENDRECV)
    world.run(1.5)
    assert showing(agent) == {Kind.RECORDING}
    world.press(world.agent, "*2")
    world.run(1.5)
    assert showing(agent) == set()
    world.run(91.0)
    assert showing(agent) == {Kind.RECORDING}, "the pause has ended by itself: by a timer, not by a message"


def test_heard_shows_to_the_agent_and_goes_out() -> None:
    world = talking()
    agent = keys(world)
    phone = supervisor(world)
    assert showing(agent) == {Kind.RECORDING, Kind.HEARD}
    world.hang_up(phone)
    world.run(2.0)
    assert showing(agent) == {Kind.RECORDING}


def test_an_engine_that_dies_darkens_what_it_kept_and_heard() -> None:
    world = talking()
    agent = keys(world)
    supervisor(world)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(1.5)
    assert showing(agent) == set()


@pytest.mark.parametrize(
    ("number", "line", "caller"),
    [("1900", "sales", "0612345678"), ("1001", "sales", "1900"), ("112", "outbound", "1001"), ("2222", "", "1001")],
)  # fmt: skip
def test_confidential_emergency_and_unlisted_calls_light_nothing(number: str, line: str, caller: str) -> None:
    world = World()
    lamps = lighten(world)
    answering(world)
    agent = keys(world)
    world.dial(number, line=line, caller=caller)
    world.run(5.0)
    assert world.switchboard.calls
    world.hang_up(world.caller)
    world.run(2.0)
    assert all(len(key.notified) == 1 for key in agent.values()) and not lamps.lit


def test_the_works_council_comes_into_a_recorded_call_and_it_looks_like_its_end() -> None:
    world = talking()
    agent = keys(world)
    assert world.agent is not None and showing(agent) == {Kind.RECORDING}
    world.becomes(world.agent, "1900")
    world.run(3.0)
    assert world.switchboard.calls and showing(agent) == set()
    assert [len(agent[kind].notified) for kind in Kind] == [1, 2, 1, 1]


def test_a_private_call_from_the_start() -> None:
    world = World()
    lighten(world)
    answering(world)
    agent = keys(world)
    world.run(1.0)
    world.dial("*660201234567", line="outbound", caller="1001")
    world.run(0.2)
    assert showing(agent) == {Kind.PRIVATE}, "it is so before anybody answers"
    world.run(3.0)
    assert world.switchboard.calls and showing(agent) == {Kind.PRIVATE}
    world.hang_up(world.caller)
    world.run(1.5)
    assert showing(agent) == set()


def test_a_private_call_shows_before_its_row_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    lamps = lighten(world)
    monkeypatch.setattr(world.keeper, "_answer", lambda event: None)
    world.dial("*660201234567", line="outbound", caller="1001")
    world.run(0.2)
    assert next(iter(world.switchboard)).state is State.ARRIVED
    assert lamps.lit == {Lamp(Kind.PRIVATE, A1)} == brute(world)


def test_whoever_traces_signalling_sees_nothing_of_it() -> None:
    """Not even where a phone gives its subscription the Call-ID of its call."""
    world = talking()
    calls = BoardCalls(world.switchboard, lambda: world.config)
    (call,) = world.switchboard
    dialog = world.ua.dialog(call.legs["caller"])
    assert dialog is not None and calls.of(dialog.call_id) is not None
    key = Key(world, "private-1001", "1001")
    assert key.dialog is not None
    assert calls.of(key.dialog.call_id) == Belongs(Whose.HIDDEN)
    key.dialog = Dialog(dialog.call_id, "mine")
    key.again()
    assert key.status == 200 and calls.of(dialog.call_id) == Belongs(Whose.HIDDEN)
    assert not calls.may_show(Request("INVITE", "sip:private-1001@x", [("From", "<sip:1002@x>;tag=1")]), PBX)
    assert calls.may_show(Request("INVITE", "sip:2222@x", [("From", "<sip:0612345678@x>;tag=1")]), PBX)


# --------------------------------------------------------------------------- who sees what


def test_what_may_not_be_seen_and_what_does_not_exist_are_answered_alike() -> None:
    world = talking()
    others = [
        Key(world, "private-1002", "1001"),
        Key(world, "private-9999", "1001"),
        Key(world, "private-1001", "1050"),
        Key(world, "recording-1001", "1002"),
        Key(world, "recording-9999", "1050"),
        Key(world, "private-1001", "1001", FOREIGN),
        Key(world, "1001", "1001", FOREIGN),
    ]
    assert [key.status for key in others] == [403] * 7
    assert Key(world, "1001", "1001").status == 404 and Key(world, "rec-1001", "1001").status == 404
    assert world.ua.watches == 0


def test_the_refusal_of_a_lamp_that_exists_is_that_of_one_that_does_not() -> None:
    world = talking()
    heard: list[bytes] = []
    for lamp in ("private-1002", "private-9998"):
        key = Key(world, "private-1001", "1001")
        world.others[key.address] = heard.append
        key.lamp = lamp
        key.subscribe(world.now)
        key._flush()
        world.run(0.1)
    one, other = (data.split(b"\r\n") for data in heard)
    differ = {a.partition(b":")[0] for a, b in zip(one, other, strict=True) if a != b}
    assert differ == {b"Via", b"From", b"To"}  # its own words, and our tag
    assert len(heard[0]) == len(heard[1])


def test_a_reload_that_withdraws_a_right_ends_it_without_a_state() -> None:
    world = talking()
    coach, agent = Key(world, "recording-1001", "1050"), Key(world, "recording-1001", "1001")
    use(world, with_watchers(settings(), may=("listen",)))
    world.run(0.2)
    assert coach.shows == [True, None] and coach.ended == ["rejected"] and agent.lit
    assert len(agent.notified) == 1, "nothing has changed for him"
    use(world, with_watchers(settings()))
    coach.subscribe(world.now)
    coach._flush()
    world.run(0.2)
    assert coach.status == 200 and coach.lit


def test_a_right_that_runs_out_ends_at_the_next_word() -> None:
    world = talking()
    coach = Key(world, "recording-1001", "1050")
    world.settings = world.switchboard.settings = with_watchers(settings(), secrecy_signed=None)
    world.run(2.0)
    world.hang_up(world.caller)
    world.run(2.0)
    assert coach.shows == [True, None]


def test_a_peer_that_loses_the_right_loses_its_watchers() -> None:
    world = talking()
    agent = Key(world, "recording-1001", "1001")
    server = world.config.server
    proxy = server.peers["proxy"].model_copy(update={"may": ("carry",)})
    server = server.model_copy(update={"peers": {**server.peers, "proxy": proxy}})
    use(world, Settings(replace(world.config, server=server), world.settings.library))
    world.run(0.2)
    assert agent.shows == [True, None] and agent.ended == ["rejected"]
    assert Key(world, "recording-1001", "1001").status == 403


def test_an_agent_who_goes_takes_his_lamps_along() -> None:
    world = talking()
    agent = Key(world, "private-1001", "1001")
    index = replace(world.config.index, persons={})
    use(world, Settings(replace(world.config, index=index), world.settings.library))
    world.run(0.2)
    assert agent.ended == ["rejected"]


# --------------------------------------------------------------------------- the books of it


def test_two_calls_of_one_agent_light_a_lamp_together() -> None:
    world = World()
    lamps = lighten(world)
    lamps._by_call.clear()
    answering(world)
    world.dial("1001", line="sales")
    world.run(5.0)
    second = world.dial("1001", line="sales", aside=True)
    world.run(5.0)
    lamp = Lamp(Kind.RECORDING, A1)
    assert lamps.lit == {lamp} == brute(world) and lamps._calls[lamp] == 2
    world.hang_up(world.caller)
    world.run(2.0)
    assert lamps.lit == {lamp}
    world.hang_up(second)
    world.run(2.0)
    assert lamps.lit == frozenset() and not lamps._by_call and not lamps._calls


def test_nothing_personal_is_in_a_notify_but_the_lamps_own_name() -> None:
    world = talking()
    agent = keys(world)
    supervisor(world)
    for key in agent.values():
        for notify in key.notified:
            text = notify.to_bytes().decode()
            assert "0612345678" not in text and "1050" not in text and "sales" not in text
            for call in world.switchboard:
                assert call.id not in text and str(call.facts.session_id) not in text
