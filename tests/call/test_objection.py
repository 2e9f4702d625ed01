"""The customer's key: what was captured is destroyed before he is told so, and nothing more is kept."""

from __future__ import annotations

import pytest

from qm_sip.call.states import State
from qm_sip.call.words import CloseRecording, CondemnRecording, DestroyRecording, NoteObjection, NoteTold
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState, Use
from tests.call.test_journeys import answering, ended, kept, states
from tests.call.test_private import end, talking
from tests.call.world import PROMPT_SECONDS, World


def said(world: World, prompt: str) -> list[protocol.Play]:
    """Every time that text was played, in whatever language."""
    texts = {world.settings.library.find(prompt, tongue) for tongue in ("nl", "en")} - {None}
    digests = {text.digest for text in texts if text}
    return [play for play in world.engine.asked(protocol.Play) if play.prompt in digests]


def test_star_nine_destroys_what_there_is_and_only_then_says_so() -> None:
    world = talking()
    world.press(world.caller, "*9")
    world.run(2.0)
    words = [type(word) for word in world.keeper.words]
    assert words.index(CondemnRecording) < words.index(DestroyRecording)
    assert CloseRecording not in words  # nothing renders it
    (play,) = said(world, "K15")
    assert play.leg == "caller" and play.overlay
    destroyed = world.engine.commands.index(play)
    assert destroyed > world.engine.commands.index(world.engine.asked(protocol.Forbid)[0])
    (note,) = world.keeper.said(NoteObjection)
    assert note.uses == frozenset(Use) and note.how == "key"
    world.run(2.0)
    end(world)
    (row,) = world.outcomes()
    assert row.outcome is Outcome.BLOCKED and SpanState.RECORDED not in states(world)
    assert states(world)[-1] is SpanState.OBJECTED
    assert len(world.recordings()[0]) == 1  # and no second one was begun


def test_nine_during_the_notice_stops_it_and_the_call_goes_on_unrecorded() -> None:
    world = World()
    answering(world)
    world.dial("1001", line="support")
    world.run(PROMPT_SECONDS / 2)
    assert next(iter(world.switchboard)).state is State.GREETING
    world.press(world.caller, "9")
    world.run(4.0)
    assert said(world, "K14") and not said(world, "K15")
    assert not world.keeper.said(NoteTold)
    assert next(iter(world.switchboard)).state is State.TALKING
    end(world)
    assert not world.engine.asked(protocol.OpenTap)
    assert world.outcomes()[0].outcome is Outcome.BLOCKED


def test_the_single_key_still_counts_just_after_the_notice_and_no_longer_in_a_menu_later() -> None:
    world = World()
    answering(world)
    world.dial("1001", line="sales")
    world.run(2.5)
    assert next(iter(world.switchboard)).state is State.TALKING
    world.press(world.caller, "9")
    world.run(1.0)
    assert said(world, "K15")
    end(world)
    later = talking()
    later.press(later.caller, "9")
    later.run(1.0)
    assert not said(later, "K15") and not later.keeper.said(NoteObjection)
    end(later)


def test_the_agents_key_on_his_behalf() -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*8")
    world.run(2.0)
    (note,) = world.keeper.said(NoteObjection)
    assert note.how == "said-to-agent"
    assert said(world, "K15")
    end(world)


def test_the_agent_cannot_press_the_customers_key_nor_the_customer_the_agents() -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*9")
    world.press(world.caller, "*1")
    world.run(2.0)
    assert not world.keeper.said(NoteObjection)
    assert next(iter(world.switchboard)).relayed
    end(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


def test_where_it_could_not_be_destroyed_nobody_is_told_that_it_was() -> None:
    world = talking()
    world.keeper.fails = True
    world.press(world.caller, "*9")
    world.run(2.0)
    assert world.keeper.said(CondemnRecording) and not said(world, "K15")
    end(world)


def test_key_eight_tells_more() -> None:
    world = talking()
    world.press(world.caller, "*8")
    world.run(1.0)
    (play,) = said(world, "K21")
    assert play.leg == "caller"
    end(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


def test_both_parts_of_a_transferred_call_are_destroyed() -> None:
    world = talking()
    assert world.agent is not None
    world.becomes(world.agent, "1002")
    world.run(3.0)
    world.press(world.caller, "*9")
    world.run(2.0)
    assert len(world.keeper.said(DestroyRecording)) == 2
    end(world)


@pytest.mark.parametrize("key", ["*9", "9"])
def test_an_engine_that_dies_on_the_way_still_has_it_destroyed(key: str) -> None:
    world = talking()
    world.press(world.caller, "*9")
    world.run(0.15)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(1.0)
    end(world)
    if world.keeper.said(CondemnRecording):
        assert world.keeper.said(DestroyRecording)
    ended(world)
    assert kept is not None
