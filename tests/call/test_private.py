"""The agent's key: from the moment he presses it nothing is kept or heard, and the two talk directly."""

from __future__ import annotations

import pytest

from qm_sip.call.states import State
from qm_sip.call.words import CloseRecording, NotePrivate
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import answering, ended, kept, states
from tests.call.world import World

DROP_BEFORE = 10.0  # the shipped [private] drop_before


def talking(line: str = "sales", number: str = "1001", seconds: float = 15.0) -> World:
    """A recorded call of so many seconds."""
    world = World()
    answering(world)
    world.dial(number, line=line)
    world.run(seconds)
    assert next(iter(world.switchboard)).state is State.TALKING
    return world


def end(world: World) -> None:
    world.hang_up(world.caller)
    world.run(0.5)
    ended(world)


def test_nothing_after_the_key_and_nothing_of_the_ten_seconds_before_it_is_in_the_journal() -> None:
    world = talking(seconds=20.0)
    assert world.agent is not None
    pressed = world.now
    world.press(world.agent, "*1")
    world.run(3.0)
    end(world)
    (row,) = world.outcomes()
    assert row.outcome is Outcome.RECORDED  # of the first part; the private part is a span of its own
    assert states(world)[-1] is SpanState.PRIVATE
    private = row.spans[-1]
    matched = pressed + 0.12  # the second key's first packet
    assert row.started + private.from_ms / 1000 == pytest.approx(matched - DROP_BEFORE, abs=0.05)
    arrivals = [at for _, at in kept(world)]
    assert arrivals and max(arrivals) < matched - DROP_BEFORE + 0.001
    assert len(world.keeper.said(CloseRecording)) == 1


def test_the_agent_hears_that_it_is_so_and_then_both_are_asked_at_once_to_talk_directly() -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(0.3)
    says = [play for play in world.engine.asked(protocol.Play) if play.overlay]
    assert says[-1].leg == "callee"  # the agent's ear alone
    world.run(3.0)
    call = next(iter(world.switchboard))
    assert not call.in_engine and not call.relayed
    assert world.caller.target == (world.agent.host, world.agent.port)
    assert world.agent.target == (world.caller.host, world.caller.port)
    notes = world.keeper.said(NotePrivate)
    assert [note.path for note in notes] == [None, "direct"]
    end(world)


def test_the_customer_never_gets_the_keys_of_the_code() -> None:
    world = talking()
    assert world.agent is not None
    before = len(world.caller.heard)
    world.press(world.agent, "*1")
    world.run(0.5)
    assert not [data for data in world.caller.heard[before:] if data[1] & 0x7F == 101]


def test_where_one_side_will_not_talk_directly_both_stay_on_a_relay_that_nobody_can_tap() -> None:
    world = talking()
    assert world.agent is not None
    world.refuses_offers = {world.agent.leg}
    world.press(world.agent, "*1")
    world.run(3.0)
    call = next(iter(world.switchboard))
    assert call.in_engine
    heard = len(world.caller.heard)
    world.run(1.0)
    assert len(world.caller.heard) > heard + 40  # they still hear each other, through us
    assert world.keeper.said(NotePrivate)[-1].path == "blind-relay"
    end(world)
    assert states(world)[-1] is SpanState.PRIVATE


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.SENDRECV])
def test_no_offer_of_anybody_brings_a_private_call_back(direction: Direction) -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(3.0)
    commands = len(world.engine.commands)
    world.hold(world.agent, direction)
    world.run(1.0)
    world.hold(world.caller, Direction.SENDRECV)
    world.run(1.0)
    after = [c for c in world.engine.commands[commands:] if not isinstance(c, protocol.Lease)]
    assert not after
    end(world)


def test_a_transfer_of_a_private_call_stays_private() -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(2.0)
    world.becomes(world.agent, "1002")
    world.run(2.0)
    end(world)
    assert states(world)[-1] is SpanState.PRIVATE
    assert len(world.recordings()[0]) == 1


def test_pressed_while_the_customer_is_being_told_the_notice_stops_and_nothing_is_ever_kept() -> None:
    world = World()
    answering(world)
    world.dial("1001", line="sales")
    world.run(0.7)
    assert world.agent is not None
    assert next(iter(world.switchboard)).state is State.TELLING
    world.press(world.agent, "*1")
    world.run(2.0)
    assert next(iter(world.switchboard)).state is State.TALKING
    end(world)
    assert not kept(world) and not world.recordings()[0]


def test_a_disk_that_stands_still_does_not_keep_the_call_from_becoming_direct() -> None:
    world = talking()
    assert world.agent is not None
    world.engine.sim.set_disk("stalled")
    world.press(world.agent, "*1")
    world.run(5.0)
    call = next(iter(world.switchboard))
    assert not call.relayed
    says = [play for play in world.engine.asked(protocol.Play) if play.overlay and play.leg == "callee"]
    assert not [play for play in says if play.prompt == world.settings.library.tone("T-A4").digest]  # type: ignore[union-attr]


@pytest.mark.parametrize("milliseconds", range(115, 126))
def test_pressed_in_the_instant_of_the_hang_up_the_row_says_what_the_journal_holds(milliseconds: int) -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(milliseconds / 1000)
    end(world)
    (row,) = world.outcomes()
    made = bool(world.keeper.said(NotePrivate))
    assert (states(world)[-1] is SpanState.PRIVATE) is made
    reach = max(at for _, at in kept(world)) - row.started
    recorded = max(span.to_ms for span in row.spans if span.state is SpanState.RECORDED) / 1000
    assert abs(reach - recorded) < 0.3
