"""Phones that know of recording: they are told what is, and what they wish is heard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.aware import wish_of
from qm_sip.call.states import State
from qm_sip.call.switchboard import Settings
from qm_sip.call.words import NoteObjection, OpenRecording
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, Use
from qm_sip.sip.message import Request, header
from qm_sip.sip.sdp import Direction, Sdp, offer, with_record, without_record
from tests.call.test_journeys import answering, ended, kept
from tests.call.test_private import end
from tests.call.world import Phone, World


def telling(world: World, how: str) -> None:
    sip = world.config.server.sip.model_copy(update={"record_indication": how})
    config = replace(world.config, server=world.config.server.model_copy(update={"sip": sip}))
    world.settings = Settings(config, world.settings.library)
    world.switchboard.settings = world.settings


def call(
    *,
    how: str = "at-once",
    number: str = "1001",
    line: str = "sales",
    aware: bool = True,
    wish: str = "",
    agents: str = "",
    caller: str = "0612345678",
    seconds: float = 6.0,
) -> World:
    """A call whose two phones know of recording, and wish something."""
    world = World()
    telling(world, how)
    answering(world, identity="1001" if number == "1001" else "")
    ring = world.on_ringing

    def ringing(phone: Phone) -> None:
        phone.aware, phone.wish = aware, agents
        ring(phone)

    world.on_ringing = ringing
    world.dial(number, line=line, caller=caller, aware=aware, wish=wish)
    world.run(seconds)
    return world


def both(world: World) -> tuple[list[str], list[str]]:
    """What each phone was told, one after the other, without repetitions."""
    assert world.agent is not None
    told = world.caller.told, world.agent.told
    first, second = ([w for w, before in zip(one, ["", *one], strict=False) if w != before] for one in told)
    return first, second


def test_both_are_told_when_it_begins_and_not_before() -> None:
    world = call()
    assert both(world) == (
        ["off", "on"],
        ["on"],
    )  # what the agent is offered first is before he said that he knows
    assert kept(world)
    end(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


def test_with_offers_they_are_told_only_where_something_is_said_anyway() -> None:
    world = call(how="with-offers")
    assert both(world) == (["off"], [])
    world.hold(world.caller, Direction.SENDONLY)
    world.run(0.5)
    assert both(world) == (["off", "paused"], ["paused"])
    world.hold(world.caller, Direction.SENDONLY)  # a refresh: it is still so
    world.run(0.5)
    assert both(world)[0] == ["off", "paused"]
    end(world)


def test_a_refresh_is_answered_with_what_is_true_now() -> None:
    world = call(how="with-offers")
    world.hold(world.caller, Direction.SENDRECV)
    world.run(0.5)
    assert both(world)[0] == ["off", "on"]
    end(world)


def test_a_pause_and_its_end_are_told() -> None:
    world = call()
    assert world.agent is not None
    world.press(world.agent, "*2")
    world.run(2.0)
    assert both(world) == (["off", "on", "paused"], ["on", "paused"])
    world.press(world.agent, "*2")
    world.run(2.0)
    assert both(world) == (["off", "on", "paused", "on"], ["on", "paused", "on"])
    end(world)


def test_a_hold_and_its_end_are_told() -> None:
    world = call()
    world.hold(world.caller, Direction.SENDONLY)
    world.run(2.0)
    assert both(world)[1][-1] == "paused"
    world.hold(world.caller, Direction.SENDRECV)
    world.run(2.0)
    assert both(world)[0][-1] == both(world)[1][-1] == "on"
    end(world)


def test_a_call_turned_private_is_off() -> None:
    world = call(seconds=20.0)
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(4.0)
    assert both(world) == (["off", "on", "off"], ["on", "off"])
    assert not next(iter(world.switchboard)).in_engine
    end(world)


def test_an_objection_is_off() -> None:
    world = call()
    world.press(world.caller, "*9")
    world.run(3.0)
    assert both(world) == (["off", "on", "off"], ["on", "off"])
    end(world)


@pytest.mark.parametrize(("how", "aware"), [("never", True), ("with-offers", False), ("at-once", False)])
def test_who_knows_nothing_of_it_or_where_it_is_not_wanted_nobody_is_told(how: str, aware: bool) -> None:
    world = call(how=how, aware=aware)
    world.hold(world.caller, Direction.SENDONLY)
    world.run(1.0)
    assert both(world) == ([], [])
    assert kept(world)
    end(world)


@pytest.mark.parametrize("number", ["1900", "112"])
def test_of_a_confidential_call_nobody_is_told_anything(number: str) -> None:
    world = call(number=number, wish="off", agents="off")
    world.hold(world.caller, Direction.SENDONLY)
    world.run(1.0)
    assert both(world) == ([], [])
    assert not world.keeper.said(NoteObjection)
    world.hang_up(world.caller)
    world.run(0.5)
    ended(world)


def test_a_call_that_turns_confidential_says_no_more_of_it() -> None:
    world = call()
    assert world.agent is not None
    before = [*world.caller.told], [*world.agent.told]
    offers = world.caller.target
    world.becomes(world.agent, "1900")
    world.run(3.0)
    assert world.caller.target != offers  # it was described anew
    assert ([*world.caller.told], [*world.agent.told]) == before
    world.hang_up(world.caller)
    world.run(0.5)
    ended(world)


def test_a_call_that_is_not_recorded_never_says_on() -> None:
    world = call(number="2222", line="")
    world.hold(world.caller, Direction.SENDONLY)
    world.run(1.0)
    told = {word for one in both(world) for word in one}
    assert told == {"off"} and not kept(world)
    end(world)


# --------------------------------------------------------------------------- wishes


def test_the_customers_phone_objects_before_anything_is_kept() -> None:
    world = call(wish="off")
    assert next(iter(world.switchboard)).state is State.TALKING
    end(world)
    assert not world.keeper.said(OpenRecording) and not kept(world)
    (note,) = world.keeper.said(NoteObjection)
    assert (note.how, note.uses, note.party) == ("recordpref", frozenset({Use.RECORD}), "caller")
    assert world.outcomes()[0].outcome is Outcome.BLOCKED


def test_the_customer_who_is_called_objects_by_his_answer() -> None:
    world = call(number="0201234567", line="outbound", caller="1001", agents="off")
    end(world)
    assert not kept(world)
    (note,) = world.keeper.said(NoteObjection)
    assert (note.how, note.party) == ("recordpref", "callee")


def test_a_wish_that_comes_later_destroys_what_there_is() -> None:
    world = call()
    assert kept(world)
    world.caller.wish = "off"
    world.hold(world.caller, Direction.SENDONLY)
    world.run(2.0)
    assert not kept(world)
    assert [note.how for note in world.keeper.said(NoteObjection)] == ["recordpref"]
    end(world)


@pytest.mark.parametrize(
    ("customers", "agents", "code"),
    [
        *(("pause", "", "recordpref-pause"), ("on", "", "recordpref-on"), ("", "off", "recordpref-off")),
        *(("nopreference", "", ""), ("nonsense", "", "")),
    ],
)
def test_other_wishes_are_noted_and_nothing_follows(customers: str, agents: str, code: str) -> None:
    world = call(wish=customers, agents=agents)
    assert kept(world)
    end(world)
    (row,) = world.outcomes()
    assert [why.code for why in row.reasons if why.code.startswith("recordpref")] == ([code] if code else [])
    assert row.outcome is Outcome.RECORDED and not world.keeper.said(NoteObjection)
    assert not world.engine.asked(protocol.Pause)


def test_a_wish_is_not_told_to_the_other_side_of_a_recorded_call() -> None:
    ours = offer(1, 1, "192.0.2.1", 4000)
    theirs = Sdp.parse(ours.to_bytes() + b"a=record:on\r\na=recordpref:off\r\na=recorder:x\r\n")
    assert b"a=recorder:x" in without_record(theirs).to_bytes()
    assert (
        b"record:" not in without_record(theirs).to_bytes()
        and b"recordpref" not in without_record(theirs).to_bytes()
    )
    assert with_record(theirs, "off") == theirs  # on a direct call: who records says so himself
    assert b"\r\na=record:off\r\nm=audio" in with_record(ours, "off").to_bytes()


@pytest.mark.parametrize(
    ("lines", "wish"),
    [
        ((b"a=recordpref:off\r\n", b""), "off"),
        ((b"", b"a=recordpref:pause\r\n"), "pause"),
        ((b"a=recordpref:off\r\n", b"a=recordpref:ON \r\n"), "on"),
        ((b"a=recordpref\r\n", b""), None),
        ((b"", b"a=recordpref:maybe\r\n"), None),
        ((b"x", b"a=recordpref:off\r\n"), None),
        ((b"", b""), None),
    ],
)
def test_a_wish_is_read_wherever_it_stands(lines: tuple[bytes, bytes], wish: str | None) -> None:
    head, tail = offer(1, 1, "192.0.2.1", 4000).to_bytes().split(b"m=audio")
    body = head + lines[0] + b"m=audio" + tail + lines[1]
    assert wish_of(Request("INVITE", "sip:x@y", [header("Content-Type", "application/sdp")], body)) == wish
