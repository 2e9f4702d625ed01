"""The customer's key: what was captured is destroyed before he is told so, and nothing more is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.states import State
from qm_sip.call.switchboard import Settings
from qm_sip.call.words import (
    CloseRecording,
    CondemnRecording,
    DestroyRecording,
    NoteObjection,
    NotePrivate,
    NoteTold,
)
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState, Use
from tests.call.test_journeys import answering, ended, kept, states
from tests.call.test_private import end, talking
from tests.call.world import PROMPT_SECONDS, Phone, World


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


def by_info(world: World, phone: Phone, keys: str, every: float = 0.2) -> None:
    """Keys as a PBX with dtmf_mode=info sends them."""
    for key in keys:
        kind = [("Content-Type", "application/dtmf-relay")]
        world.pbx.request(phone.leg, "INFO", kind, f"Signal={key}\r\n".encode(), now=world.now)
        world.run(every)


def test_what_was_never_recorded_is_not_said_to_be_erased() -> None:
    ringing = World()  # told, and his agent's phone rings
    ringing.dial("1002", line="support")
    ringing.run(PROMPT_SECONDS + 0.7)
    assert next(iter(ringing.switchboard)).state is State.SEEKING
    unknown = World()  # he was told, and nobody knows who the agent is: nothing is kept
    answering(unknown, identity="1777")
    unknown.dial("1777", line="sales")
    unknown.run(10.0)
    for world, keys in ((ringing, "9"), (unknown, "*9")):
        world.press(world.caller, keys)
        world.run(1.0)
        assert world.keeper.said(NoteObjection)
        assert said(world, "K14") and not said(world, "K15")
        end(world)
        assert not kept(world)


def on_duty(world: World) -> None:
    """From now on the sales line has to record."""
    config, library = world.switchboard.settings
    sales = config.lines.line["sales"].model_copy(update={"legal_duty": "a statute", "opt_out": False})
    lines = config.lines.model_copy(update={"line": {**config.lines.line, "sales": sales}})
    world.settings = world.switchboard.settings = Settings(replace(config, lines=lines), library)


@pytest.mark.parametrize(("recorded", "sentence"), [(True, "K16"), (False, "K15b")])
def test_where_the_law_requires_it_he_is_told_that_it_goes_on_only_if_it_does(
    recorded: bool, sentence: str
) -> None:
    world = World()
    on_duty(world)
    answering(world)
    world.dial("1001", line="sales")
    world.run(2.0)
    if not recorded:
        world.engine.sim.set_disk("full")
    world.run(8.0)
    world.press(world.caller, "*9")
    world.run(1.0)
    assert {text for text in ("K14", "K15", "K15b", "K16", "K17") if said(world, text)} == {sentence}
    assert not world.keeper.said(DestroyRecording)
    end(world)


@pytest.mark.parametrize("after", [0.0, 0.1, 0.4, 3.0])
def test_he_may_object_to_what_was_recorded_before_the_agent_made_it_private(after: float) -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(0.15 + after)
    by_info(world, world.caller, "*9")
    world.run(2.0)
    assert world.keeper.said(DestroyRecording)
    end(world)
    assert SpanState.RECORDED not in states(world) and world.keeper.said(NotePrivate)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.1])
def test_both_keys_in_the_same_instant_are_both_obeyed(delay: float) -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.caller, "*9")
    world.run(0.12 + delay)
    world.press(world.agent, "*1")
    world.run(4.0)
    assert world.keeper.said(DestroyRecording) and world.keeper.said(NotePrivate)
    assert not next(iter(world.switchboard)).relayed
    end(world)


@pytest.mark.parametrize("whose", ["customer", "agent"])
def test_a_dead_engine_is_no_reason_to_keep_what_he_objects_to(whose: str) -> None:
    world = talking()
    assert world.agent is not None
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(2.0)
    before = len(world.engine.commands)
    phone, keys = (world.caller, "*9") if whose == "customer" else (world.agent, "*8")
    by_info(world, phone, keys)
    world.run(1.0)
    assert world.keeper.said(DestroyRecording) and world.engine.commands[before:] == []
    end(world)


def test_a_code_by_info_has_its_own_time_whatever_was_pressed_before_it() -> None:
    world = talking()
    by_info(world, world.caller, "*8", every=0.1)
    world.run(1.1)
    by_info(world, world.caller, "*9", every=0.35)  # between the two keys the first star's time is over
    world.run(1.0)
    assert said(world, "K15")
    end(world)


def test_hung_up_before_it_is_destroyed_nothing_is_said_to_nobody() -> None:
    world = talking()
    world.press(world.caller, "*9")
    world.run(0.13)
    world.hang_up(world.caller)
    world.run(2.0)
    closed = [type(command) for command in world.engine.commands].index(protocol.CloseCall)
    assert not [c for c in world.engine.commands[closed:] if isinstance(c, protocol.Play)]
    assert world.keeper.said(DestroyRecording)
    ended(world)


def test_eight_pressed_again_and_again_keeps_the_agent_waiting_once() -> None:
    world = World()
    answering(world)
    world.dial("1001", line="sales")
    world.run(0.7)
    assert next(iter(world.switchboard)).state is State.TELLING
    by_info(world, world.caller, "8" * 20, every=0.01)
    world.run(1.5)
    assert len(said(world, "K21")) == 1
    end(world)


def test_a_code_that_is_half_pressed_when_the_keys_change_is_a_code() -> None:
    """Five seconds after the notice its single keys end; a star of just before and a nine of just after are *9."""
    for tenths in range(40, 62):
        world = World()
        answering(world)
        world.dial("1001", line="sales")
        world.run(1.5 + tenths / 10)
        by_info(world, world.caller, "*9", every=0.25)
        world.run(1.0)
        assert world.keeper.said(NoteObjection), tenths
        end(world)


@pytest.mark.parametrize("hundredths", range(0, 20, 4))
def test_nine_while_he_hears_more_is_answered_before_the_agent_comes(hundredths: int) -> None:
    world = World()
    answering(world)
    world.dial("1001", line="sales")
    world.run(0.6)
    by_info(world, world.caller, "8", every=0.01)
    while not said(world, "K21"):
        world.run(0.02)
    world.run(hundredths / 100)
    by_info(world, world.caller, "9", every=0.02)
    world.run(3.0)
    (sentence,) = said(world, "K14")
    bridged = next(c for c in world.engine.asked(protocol.Bridge) if c.on)
    order = world.engine.commands
    assert order.index(sentence) < order.index(bridged)
    between = order[order.index(sentence) : order.index(bridged)]
    assert not [c for c in between if isinstance(c, protocol.StopPlay) and c.play == sentence.play]
    end(world)
