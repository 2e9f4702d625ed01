"""Recorded and listened to at once, where the purpose forbids it (KSF15-1.2b): at whatever moment either begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import OpenRecording
from tests.call.test_journeys import answering
from tests.call.test_listening import CODES, opened, supervisor
from tests.call.test_private import end
from tests.call.world import World


def never_together() -> World:
    """A call on a line that records when its agent asks for it, for a purpose that is heard or kept, never both."""
    world = World()
    config, library = world.switchboard.settings
    sales = config.lines.line["sales"].model_copy(update={"capture": "on-request"})
    lines = config.lines.model_copy(update={"line": {**config.lines.line, "sales": sales}})
    coaching = config.regulation.purposes["coaching"].model_copy(
        update={"modes": frozenset({"live", "later"})}
    )
    regulation = config.regulation.model_copy(update={"purposes": {"coaching": coaching}})
    world.settings = world.switchboard.settings = Settings(
        replace(config, lines=lines, regulation=regulation), library
    )
    answering(world)
    world.dial("1001", line="sales")
    world.run(10.0)
    return world


@pytest.mark.parametrize("tenths", range(12))
def test_the_agent_asks_for_it_while_the_supervisor_is_on_his_way(tenths: int) -> None:
    """From before his code is complete until he hears: whichever is first, the other is refused."""
    world = never_together()
    assert world.agent is not None
    phone = world.dial("*55", caller="1050", aside=True)
    world.run(0.5)
    world.press(phone, CODES)
    world.run(1.3 + tenths / 10)
    world.press(world.agent, "*3")
    world.run(4.0)
    assert (len(opened(world)), len(world.keeper.said(OpenRecording))) in ((0, 1), (1, 0))
    end(world)


def test_who_still_listens_counts_when_another_has_gone() -> None:
    world = never_together()
    assert world.agent is not None
    first, second = supervisor(world), supervisor(world)
    assert len(opened(world)) == 2
    world.hang_up(first)
    world.run(1.0)
    world.press(world.agent, "*3")
    world.run(2.0)
    assert not world.keeper.said(OpenRecording)
    world.hang_up(second)
    world.run(1.0)
    world.press(world.agent, "*3")  # what was refused may be asked for again
    world.run(2.0)
    assert len(world.keeper.said(OpenRecording)) == 1
    end(world)


def test_the_command_does_not_say_that_it_is_done_where_it_was_refused() -> None:
    world = never_together()
    call = next(iter(world.switchboard))
    phone = supervisor(world)
    assert not call.request_recording(world.now)
    world.hang_up(phone)
    world.run(1.0)
    assert call.request_recording(world.now)
    world.press(world.caller, "*9")
    world.run(1.0)
    assert not call.request_recording(world.now)
    end(world)
