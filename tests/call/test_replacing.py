"""INVITE with Replaces (RFC 3891): who may take whose place, and what is kept of whoever comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import CountConfidential, NoteTransfer
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import ended, kept, states
from tests.call.test_transfer import COUNCIL, CUSTOMER, SECOND, agents, hear_each_other, talking
from tests.call.world import Phone, World, named, with_peer


def replacing(
    world: World, phone: Phone, *, by: str = SECOND, more: str = "", extra: Sequence[tuple[str, str]] = ()
) -> Phone:
    """Somebody calls to take this phone's place."""
    headers = [("Replaces", named(world.pbx, phone) + more), *extra]
    return world.dial("2222", caller=by, more=headers, aside=True)


@pytest.mark.parametrize("held", [False, True])
def test_another_agent_takes_over_and_is_recorded_anew(held: bool) -> None:
    world = World()
    customer, agent = talking(world)
    if held:
        world.hold(agent, Direction.SENDONLY)
        world.run(0.3)
    second = replacing(world, agent)
    world.run(1.5)
    assert agent.gone and second.up and world.agent is agent, "nobody was called"
    assert hear_each_other(world, customer, second)
    world.hang_up(second)
    world.run(0.3)
    assert customer.gone
    ended(world)
    assert agents(world) == ["a1", "a2"] and states(world).count(SpanState.RECORDED) == 2
    assert len(world.keeper.said(type(world.outcomes()[0]))) == 1, "it is one call all along"


def test_the_works_council_takes_over_and_nothing_more_comes_here() -> None:
    world = World()
    customer, agent = talking(world)
    since = world.now
    council = replacing(world, agent, by=COUNCIL)
    world.run(1.5)
    assert agent.gone and hear_each_other(world, customer, council)
    assert customer.target == (council.host, council.port)
    assert not [at for _, at in kept(world) if at > since + 0.01]
    world.hang_up(customer)
    ended(world)
    assert len(world.keeper.said(CountConfidential)) == 1


def test_whoever_takes_the_customers_place_has_been_told_nothing() -> None:
    """Even if he calls himself the same: it may be anybody who has come to the phone."""
    world = World()
    customer, agent = talking(world)
    since = world.now
    other = replacing(world, customer, by=CUSTOMER)
    world.run(1.5)
    assert customer.gone and hear_each_other(world, agent, other)
    assert not [at for _, at in kept(world) if at > since + 0.01]
    voids = [command.leg for command in world.engine.asked(protocol.VoidProofs)]
    assert voids == ["caller"]
    world.hang_up(agent)
    ended(world)
    (moved,) = world.keeper.said(NoteTransfer)
    assert (moved.how, moved.gone, moved.came) == ("taken-over", "customer", "third")
    assert "new-party-not-told" in [reason.code for reason in world.outcomes()[0].reasons]


def test_a_private_call_is_taken_over_privately() -> None:
    world = World()
    customer, agent = talking(world)
    world.press(agent, "*1")
    world.run(2.0)
    second = replacing(world, agent)
    world.run(1.0)
    assert customer.target == (second.host, second.port) and second.target == (customer.host, customer.port)
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"] and states(world)[-1] is SpanState.PRIVATE


@pytest.mark.parametrize(("line", "number"), [("sales", "1001"), ("support", "1002"), ("", "2222")])
def test_a_ringing_call_is_picked_up(line: str, number: str) -> None:
    """On-answer, before-ring, and direct: the ringing phone is cancelled and the newcomer answers."""
    world = World()
    rings: list[Phone] = []

    def ring(phone: Phone) -> None:
        rings.append(phone)
        world.pbx.provisional(phone.leg, 180, now=world.now)

    world.on_ringing = ring
    customer = world.dial(number, line=line, caller=CUSTOMER)
    world.run(1.5)
    (ringing,) = rings
    second = replacing(world, ringing, by="1001", more=";early-only")
    world.run(2.5)
    assert ringing.gone and second.up and customer.up
    assert hear_each_other(world, customer, second)
    world.hang_up(customer)
    world.run(0.3)
    ended(world)
    assert agents(world) == (["a1"] if line else [])
    assert [word.how for word in world.keeper.said(NoteTransfer)] == ["picked-up"]
    assert world.outcomes()[0].outcome is (Outcome.RECORDED if line else Outcome.BYPASSED)


def test_a_caller_who_still_rings_cannot_be_replaced() -> None:
    """RFC 3891 3: only an early dialog that we began ourselves."""
    world = World()
    world.on_ringing = lambda phone: world.pbx.provisional(phone.leg, 180, now=world.now)
    customer = world.dial("2222", caller=CUSTOMER)
    world.run(0.5)
    second = replacing(world, customer)
    world.run(0.5)
    assert second.gone and world.rejected == [481] and not customer.gone


def test_what_is_refused_and_that_the_call_stands() -> None:
    world = World()
    customer, agent = talking(world)
    name = named(world.pbx, agent)
    dialog = world.pbx.dialog(agent.leg)
    assert dialog is not None
    swapped = f"{dialog.call_id};to-tag={dialog.local_tag};from-tag={dialog.remote_tag}"
    for headers, status in (
        ([("Replaces", f"{name};early-only")], 486),
        ([("Replaces", swapped)], 481),
        ([("Replaces", f"{name}x")], 481),
        ([("Replaces", "nonsense")], 400),
        ([("Replaces", name), ("Replaces", name)], 400),
        ([("Replaces", name), ("Join", name)], 400),
        ([("Join", name)], 488),
        ([("Join", f"{name}x")], 481),
        ([("Join", name), ("Require", "join")], 420),
    ):
        world.rejected.clear()
        phone = world.dial("2222", caller=SECOND, more=headers, aside=True)
        world.run(0.3)
        assert phone.gone and world.rejected == [status], (headers, world.rejected)
    assert hear_each_other(world, customer, agent)
    assert len(world.switchboard.calls) == 1


def test_what_ended_a_moment_ago_is_declined() -> None:
    world = World()
    _, agent = talking(world)
    headers = [("Replaces", named(world.pbx, agent))]
    world.hang_up(agent)
    world.run(0.2)
    world.dial("2222", caller=SECOND, more=headers, aside=True)
    world.run(0.2)
    assert world.rejected == [603]


def test_since_a_reload_it_may_be_a_peer_that_the_call_has_never_heard_of() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    old = world.settings.config
    peers = {"renamed": old.peer("asterisk")}
    routes = tuple(
        route.model_copy(update={"from_": "renamed", "to": "renamed"}) for route in old.server.routes
    )
    server = old.server.model_copy(update={"peers": peers, "routes": routes})
    world.switchboard.settings = Settings(replace(old, server=server), world.settings.library)
    second = replacing(world, agent)
    world.run(1.5)
    assert agent.gone and second.up and hear_each_other(world, customer, second)
    world.refer(second, "1003")
    world.run(1.5)
    assert second.answers[0] == ("REFER", 404), "routes are those that the call began with"
    third = world.dial("1002", caller="1003", aside=True)
    world.run(1.0)
    world.refer(second, "1002", third)
    world.run(1.5)
    assert second.answers[-1][1] == 202 or second.gone
    world.hang_up(customer)
    ended(world)


def test_a_peer_that_is_not_trusted_takes_nobodys_place() -> None:
    world = World()
    customer, agent = talking(world)
    world.switchboard.settings = with_peer(world.settings, trusted=False)
    phone = replacing(world, agent)
    world.run(0.3)
    assert phone.gone and world.rejected == [403] and hear_each_other(world, customer, agent)


def test_not_while_an_offer_is_under_way_nor_without_a_description() -> None:
    world = World()
    customer, agent = talking(world)
    world.late_answers = 0.5
    world.hold(agent, Direction.SENDONLY)
    world.run(0.1)
    replacing(world, agent)
    world.run(0.2)
    assert world.rejected == [491]
    world.run(1.0)
    world.rejected.clear()
    headers = [("Replaces", named(world.pbx, agent))]
    world.dial("2222", caller=SECOND, more=headers, aside=True, body=None)
    world.run(0.2)
    assert world.rejected == [488] and not customer.gone


def test_a_service_gives_no_leg_away() -> None:
    world = World()
    menu = world.dial("*55", caller="1050")
    world.run(0.5)
    assert menu.up
    replacing(world, menu)
    world.run(0.3)
    assert world.rejected == [481] and not menu.gone
