"""A card number is about to be said: a pause, by key or by command, that ends by itself."""

from __future__ import annotations

from qm_sip.call.words import OpenRecording
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import kept, states
from tests.call.test_objection import said
from tests.call.test_private import end, talking
from tests.call.world import World


def paused(world: World) -> float:
    assert world.agent is not None
    world.press(world.agent, "*2")
    world.run(0.2)
    return world.now


def test_what_is_said_in_a_pause_is_not_kept_and_the_customer_hears_both_ends_of_it() -> None:
    world = talking(seconds=5.0)
    began = paused(world)
    world.run(3.0)
    over = world.now
    assert world.agent is not None
    world.press(world.agent, "*2")
    world.run(3.0)
    assert len(said(world, "K18")) == len(said(world, "K19")) == 1
    end(world)
    arrivals = [at for _, at in kept(world)]
    assert not [at for at in arrivals if began < at < over]
    assert [at for at in arrivals if at < began - 0.5] and [at for at in arrivals if at > over + 0.5]
    assert SpanState.PAUSE in states(world)
    assert len(world.keeper.said(OpenRecording)) == 1
    assert world.outcomes()[0].outcome is Outcome.RECORDED


def test_it_ends_by_itself() -> None:
    world = talking(seconds=5.0)
    paused(world)
    world.run(89.0)
    assert not said(world, "K19")
    world.run(2.0)
    assert said(world, "K19")
    end(world)


def test_a_hold_in_a_pause_and_a_pause_in_a_hold_both_have_to_end() -> None:
    for first_over in ("hold", "pause"):
        world = talking(seconds=5.0)
        began = paused(world)
        world.hold(world.caller, Direction.SENDONLY)
        world.run(1.0)
        assert world.agent is not None
        if first_over == "hold":
            world.hold(world.caller, Direction.SENDRECV)
        else:
            world.press(world.agent, "*2")
        world.run(1.0)
        middle = world.now
        if first_over == "hold":
            world.press(world.agent, "*2")
        else:
            world.hold(world.caller, Direction.SENDRECV)
        world.run(2.0)
        end(world)
        arrivals = [at for _, at in kept(world)]
        assert not [at for at in arrivals if began < at < middle], first_over
        assert [at for at in arrivals if at > middle + 0.5], first_over


def test_private_in_a_pause_stays_private_when_the_pause_would_end() -> None:
    world = talking(seconds=15.0)
    paused(world)
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(100.0)
    assert not said(world, "K19")
    end(world)
    assert states(world)[-1] is SpanState.PRIVATE


def test_a_hold_in_which_the_agent_calls_a_colleague_is_a_consultation() -> None:
    world = talking(seconds=5.0)
    assert world.agent is not None
    agent = world.agent
    world.hold(agent, Direction.SENDONLY)
    world.run(0.5)
    colleague = world.dial("1003", caller="1001", aside=True)
    world.run(2.0)
    world.hang_up(colleague)
    world.run(0.5)
    world.hold(agent, Direction.SENDRECV)
    world.run(1.0)
    world.hang_up(world.caller)
    world.run(0.5)
    world.settle()
    row = next(row for row in world.outcomes() if row.outcome is Outcome.RECORDED)
    assert [span.reason for span in row.spans if span.state is SpanState.HOLD] == ["hold", "consult"]


def test_that_it_goes_on_is_said_when_it_does_and_not_while_somebody_still_holds() -> None:
    world = talking(seconds=5.0)
    paused(world)
    world.hold(world.caller, Direction.SENDONLY)
    world.run(1.0)
    assert world.agent is not None
    world.press(world.agent, "*2")
    world.run(1.0)
    assert not said(world, "K19")
    world.hold(world.caller, Direction.SENDRECV)
    world.run(1.0)
    world.hold(world.caller, Direction.SENDONLY)
    world.run(1.0)
    world.hold(world.caller, Direction.SENDRECV)  # a hold alone was never spoken of
    world.run(1.0)
    assert len(said(world, "K19")) == 1
    end(world)


def test_that_it_goes_on_is_said_too_where_another_agent_has_taken_over_meanwhile() -> None:
    world = talking(seconds=5.0)
    paused(world)
    assert world.agent is not None
    world.becomes(world.agent, "1002")
    world.run(1.0)
    world.press(world.agent, "*2")
    world.run(2.0)
    assert len(world.keeper.said(OpenRecording)) == 2 and len(said(world, "K19")) == 1
    end(world)
