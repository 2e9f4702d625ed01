"""Recorded at the agent's request (KSF15-0.2): his own key, for his own part of the call."""

from __future__ import annotations

from dataclasses import replace

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import OpenRecording
from tests.call.test_journeys import answering, kept
from tests.call.test_private import end
from tests.call.world import World


def asked_for() -> World:
    """A call of ten seconds on a line that records when its agent asks for it."""
    world = World()
    config, library = world.switchboard.settings
    sales = config.lines.line["sales"].model_copy(update={"capture": "on-request"})
    lines = config.lines.model_copy(update={"line": {**config.lines.line, "sales": sales}})
    world.settings = world.switchboard.settings = Settings(replace(config, lines=lines), library)
    answering(world)
    world.dial("1001", line="sales")
    world.run(10.0)
    assert not world.keeper.said(OpenRecording)
    return world


def test_nothing_is_kept_of_what_was_said_before_the_agent_asked_for_it() -> None:
    world = asked_for()
    assert world.agent is not None
    asked = world.now
    world.press(world.agent, "*3")
    world.run(3.0)
    end(world)
    arrivals = [at for _, at in kept(world)]
    assert arrivals and min(arrivals) > asked + 0.12


def test_the_customer_cannot_ask_for_it_and_after_his_objection_nobody_can() -> None:
    world = asked_for()
    assert world.agent is not None
    world.press(world.caller, "*3")
    world.run(2.0)
    assert not world.keeper.said(OpenRecording)
    world.press(world.caller, "*9")
    world.run(1.0)
    world.press(world.agent, "*3")
    world.run(2.0)
    end(world)
    assert not world.keeper.said(OpenRecording) and not kept(world)


def test_the_agent_who_takes_over_has_not_asked_for_it() -> None:
    world = asked_for()
    assert world.agent is not None
    world.press(world.agent, "*3")
    world.run(3.0)
    world.becomes(world.agent, "1002")
    world.run(3.0)
    assert [word.agent.person for word in world.keeper.said(OpenRecording)] == ["a1"]
    world.press(world.agent, "*3")
    world.run(3.0)
    assert [word.agent.person for word in world.keeper.said(OpenRecording)] == ["a1", "a2"]
    end(world)
