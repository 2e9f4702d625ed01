"""An agent's key that is pressed: his phone dials the lamp's name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import ClearPreset, NotePrivate, SetPreset
from qm_sip.config import Config
from qm_sip.lamps.lamp import Kind
from qm_sip.lamps.rights import presser_of
from qm_sip.policy.facts import PersonId
from qm_sip.privateline.presets import PresetMode
from qm_sip.sip.message import Request
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import answering, kept
from tests.call.test_objection import on_duty, said
from tests.call.world import Phone, World, settings
from tests.lamps.keys import Key, lighten, use, with_watchers
from tests.lamps.test_board import keys, showing, talking
from tests.lamps.test_rights import asked, with_phones


def presses(world: World, lamp: str = "private-1001", caller: str = "1001", seconds: float = 2.5) -> Phone:
    phone = world.dial(lamp, caller=caller, aside=True)
    world.run(seconds)
    return phone


def idle() -> tuple[World, dict[Kind, Key]]:
    world = World()
    lighten(world)
    answering(world)
    found = keys(world)
    world.run(1.0)
    return world, found


def test_without_a_call_the_next_one_is_private_and_pressed_again_it_is_not() -> None:
    world, agent = idle()
    phone = presses(world)
    assert phone.gone and said(world, "A4") and world.keeper.said(SetPreset)
    assert showing(agent) == {Kind.PRESET}, "no call is private yet"
    presses(world)
    assert said(world, "A5") and world.keeper.said(ClearPreset) and showing(agent) == set()
    presses(world, "preset-1001")
    assert showing(agent) == {Kind.PRESET}
    world.dial("1001", line="sales")
    world.run(3.0)
    assert showing(agent) == {Kind.PRIVATE}, "the wish has been used up by the call"
    assert [note.path for note in world.keeper.said(NotePrivate)] == ["direct"]


def test_in_a_call_it_is_made_private_and_said_when_it_is_so() -> None:
    world = talking()
    agent = keys(world)
    assert world.agent is not None and showing(agent) == {Kind.RECORDING}
    world.hold(world.agent, Direction.SENDONLY)  # as his phone does, to dial
    world.run(1.2)
    pressed = world.now
    phone = presses(world)
    assert phone.gone and said(world, "A4") and showing(agent) == {Kind.PRIVATE}
    world.hold(world.agent, Direction.SENDRECV)
    world.run(3.0)
    call = next(iter(world.switchboard))
    assert not [at for _, at in kept(world, call.id) if at > pressed]
    assert not world.keeper.said(SetPreset), "it was this call that he meant"
    assert call.private.on and not call.in_engine


def test_a_call_that_rings_is_meant_too() -> None:
    world = World()
    lighten(world)
    agent = keys(world)
    world.dial("1001", line="sales")
    world.run(1.0)
    assert world.agent is not None and not world.agent.up
    presses(world, seconds=1.0)
    assert showing(agent) == {Kind.PRIVATE}
    world.answer(world.agent)
    world.run(5.0)
    call = next(iter(world.switchboard))
    assert call.private.on and not kept(world, call.id) and not world.keeper.said(SetPreset)


def test_a_call_that_is_private_stays_so() -> None:
    world = talking()
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(3.0)
    before = len(world.keeper.words)
    presses(world)
    assert said(world, "A4") and next(iter(world.switchboard)).private.on
    assert len(world.keeper.words) == before, "nothing has changed"


def test_where_the_law_forbids_it_he_hears_so() -> None:
    world = World()
    on_duty(world)
    lighten(world)
    answering(world)
    world.dial("1001", line="sales")
    world.run(6.0)
    presses(world)
    assert said(world, "A7") and not said(world, "A4")
    assert not next(iter(world.switchboard)).private.on


def test_a_call_that_nothing_here_could_keep_needs_no_key() -> None:
    world = World()
    lighten(world)
    answering(world)
    world.dial("1003", caller="1001")
    world.run(1.0)
    presses(world)
    assert said(world, "A2") and not world.keeper.said(SetPreset)


def test_a_confidential_call_is_as_if_there_were_none() -> None:
    world = talking()
    assert world.agent is not None
    world.becomes(world.agent, "1900")
    world.run(2.0)
    assert next(iter(world.switchboard)).unsaid
    presses(world)
    assert said(world, "A4") and world.keeper.said(SetPreset) and not said(world, "A2")


def test_an_engine_that_does_not_answer_makes_nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = talking()
    agent = keys(world)
    call = next(iter(world.switchboard))
    monkeypatch.setattr(call.private, "press", lambda now: None)
    before = len(said(world, "A4"))
    phone = presses(world, seconds=4.0)
    assert phone.gone and len(said(world, "A4")) == before and showing(agent) == {Kind.RECORDING}


@pytest.mark.parametrize(
    ("lamp", "caller"),
    [("private-1001", "1002"), ("private-1001", "1050"), ("private-9999", "1001"), ("recording-1001", "1001"),
     ("heard-1001", "1001"), ("preset-1001", "0612345678"), ("preset-1002", "1001")],
)  # fmt: skip
def test_whose_key_it_is_not_or_what_only_shows(lamp: str, caller: str) -> None:
    world, agent = idle()
    presses(world, lamp, caller)
    assert world.rejected == [403] and showing(agent) == set() and not world.offered


def test_a_peer_without_the_right() -> None:
    world, _ = idle()
    peer = world.config.server.peers["asterisk"].model_copy(update={"may": ("carry", "listen")})
    server = world.config.server.model_copy(update={"peers": {**world.config.server.peers, "asterisk": peer}})
    use(world, Settings(replace(world.config, server=server), world.settings.library))
    presses(world)
    assert world.rejected == [403] and not world.keeper.said(SetPreset)


def test_without_an_engine_nothing_can_be_said() -> None:
    world, _ = idle()
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    presses(world)
    assert world.rejected == [503] and not world.keeper.said(SetPreset)


def test_a_preset_by_any_way_shows_and_by_itself_it_ends() -> None:
    world, agent = idle()
    presets, wall = world.features.presets, world.switchboard.wall()
    presets.set(PersonId("a1"), None, PresetMode.UNTIL_OFF, wall + timedelta(days=1))
    world.run(1.5)
    assert showing(agent) == {Kind.PRESET}
    presets.set(PersonId("a2"), None, PresetMode.UNTIL_OFF, wall + timedelta(days=1))
    presets.set(None, "1777", PresetMode.UNTIL_OFF, wall + timedelta(days=1))
    world.run(1.5)
    assert len(agent[Kind.PRESET].notified) == 2, "those are others'"
    presets.set(PersonId("a1"), None, PresetMode.UNTIL_OFF, wall)
    world.run(1.5)
    agent[Kind.PRESET].again()
    assert showing(agent) == set(), "it has run out, which a renewal tells"


# --------------------------------------------------------------------------- whose phone dials


def dialled(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:private-1001@x", [("From", "<sip:1002@x>;tag=1"), *headers])


def proved(user: str) -> tuple[str, str]:
    return ("Authorization", f'Digest realm="sip", username="{user}"')


def test_who_presses_is_whose_password_was_shown_or_whom_a_trusted_peer_names() -> None:
    using: Config = with_phones()
    assert presser_of(using, dialled(proved("1001")), "phones") == "1001"
    assert (
        presser_of(using, dialled(), "phones") is None
        and presser_of(using, dialled(proved("9")), "phones") is None
    )
    assert presser_of(using, dialled(), "proxy") == "1002"
    assert presser_of(using, dialled(), "foreign") is None and presser_of(using, dialled(), "gone") is None
    assert presser_of(with_watchers(settings()).config, dialled(), "asterisk") == "1002", "it may toggle"
    assert asked().method == "SUBSCRIBE"
