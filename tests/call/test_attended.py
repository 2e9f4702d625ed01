"""Attended transfers carried out here: of two calls one is left, and whoever was in the middle is out of both."""

from __future__ import annotations

import pytest

from qm_sip.call.words import ForgetCall, NoteTransfer
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import answering, ended, kept
from tests.call.test_transfer import AGENT, COUNCIL, CUSTOMER, agents, hear_each_other, stranger, talking
from tests.call.world import Phone, World


def consulting(world: World, whom: str, line: str = "") -> tuple[Phone, Phone, Phone, Phone]:
    """A customer on hold; his agent asks somebody: customer, agent, the agent's second call, whom he asks."""
    customer, agent = talking(world)
    world.hold(agent, Direction.SENDONLY)
    world.run(0.3)
    second = world.dial(whom, line=line, caller=AGENT, aside=True)
    world.run(1.5)
    asked = world.agent
    assert asked is not None and asked is not agent and asked.up and second.up
    return customer, agent, second, asked


def test_the_customer_and_whoever_was_asked_are_joined_and_recorded() -> None:
    world = World(refer="here")
    customer, agent, second, asked = consulting(world, "1002")
    world.refer(agent, "1002", second)
    world.run(1.5)
    assert agent.answers[-1] == ("REFER", 202) and agent.news[-1] == 200
    assert agent.gone and second.gone and not asked.gone and not customer.gone
    assert hear_each_other(world, customer, asked)
    assert len(world.switchboard.calls) == 1
    world.hang_up(customer)
    world.run(0.3)
    assert asked.gone
    ended(world)
    assert agents(world) == ["a1", "a2"]
    assert [word.how for word in world.keeper.said(NoteTransfer)] == ["attended"]
    assert [row.outcome for row in world.outcomes()] == [Outcome.BYPASSED, Outcome.RECORDED]


def test_the_other_way_round_it_is_still_the_customers_call_that_is_kept() -> None:
    """The REFER comes in the call with whoever was asked, and names the customer's."""
    world = World(refer="here")
    customer, agent, second, asked = consulting(world, "1002")
    world.refer(second, CUSTOMER, agent)
    world.run(1.5)
    assert second.news[-1] == 200 and agent.gone and second.gone
    assert hear_each_other(world, customer, asked)
    world.hang_up(asked)
    world.run(0.3)
    assert customer.gone
    ended(world)
    assert agents(world) == ["a1", "a2"]


def test_joined_with_the_works_council_nothing_more_comes_here() -> None:
    world = World(refer="here")
    customer, agent, second, council = consulting(world, COUNCIL, line="sales")
    since = world.now
    world.refer(agent, COUNCIL, second)
    world.run(1.5)
    assert customer.target == (council.host, council.port) and council.target == (
        customer.host,
        customer.port,
    )
    assert agent.gone and second.gone
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"] and not [at for _, at in kept(world) if at > since]
    assert world.confidential() == 2


def test_the_other_way_round_with_the_works_council_neither() -> None:
    world = World(refer="here")
    customer, agent, second, council = consulting(world, COUNCIL, line="sales")
    since = world.now
    world.refer(second, CUSTOMER, agent)
    world.run(1.5)
    assert customer.target == (council.host, council.port) and council.target == (
        customer.host,
        customer.port,
    )
    assert agent.gone and second.gone
    world.hang_up(council)
    ended(world)
    assert agents(world) == ["a1"] and not [at for _, at in kept(world) if at > since]
    assert not world.keeper.said(ForgetCall)


def test_a_private_call_that_is_joined_to_a_recorded_one_ends_the_recording() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.hold(agent, Direction.SENDONLY)
    world.run(0.3)
    prefix = world.config.lines.private.prefix
    second = world.dial(f"{prefix}0687654321", line="outbound", caller=AGENT, aside=True)
    world.run(1.5)
    friend = world.agent
    assert friend is not None and friend is not agent and second.up
    since = world.now
    world.refer(agent, "0687654321", second)
    world.run(1.5)
    assert customer.target == (friend.host, friend.port) and friend.target == (customer.host, customer.port)
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"] and not [at for _, at in kept(world) if at > since]
    (recorded,) = [row for row in world.outcomes() if row.outcome is Outcome.RECORDED]
    assert recorded.spans[-1].state is SpanState.PRIVATE


def test_two_direct_calls_are_joined_without_a_socket_of_ours() -> None:
    world = World(refer="here")
    customer, agent = talking(world, line="", number="2222")
    second = world.dial("1003", caller=AGENT, aside=True)
    world.run(1.5)
    asked = world.agent
    assert asked is not None and second.up
    world.refer(agent, "1003", second)
    world.run(1.0)
    assert customer.target == (asked.host, asked.port) and asked.target == (customer.host, customer.port)
    assert agent.gone and second.gone and not world.engine.asked(protocol.OpenCall)
    world.hang_up(customer)
    world.run(0.3)
    assert asked.gone
    ended(world)


def test_a_phone_cannot_join_calls_that_are_not_its_peers() -> None:
    world = World(refer="here")
    customer, agent, second, asked = consulting(world, "1002")
    (other,) = [call for call in world.switchboard if not call.relayed]
    other.way = other.way.with_other("caller", "elsewhere", stranger(world), other.way.from_)
    world.refer(agent, "1002", second)
    world.run(0.5)
    assert agent.answers[-1] == ("REFER", 403)
    assert not second.gone and not asked.gone and not customer.gone


def test_its_own_call_is_joined_with_nothing() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.refer(agent, "1002", agent)
    world.run(0.5)
    assert agent.answers[-1] == ("REFER", 491) and not agent.gone and not customer.gone


def test_a_dialog_that_is_none_of_ours_is_asked_for_where_the_target_is() -> None:
    world = World(refer="here")
    _, agent = talking(world)
    wish = "abc%40pbx%3Bto-tag%3Dt%3Bfrom-tag%3Df"
    to = f"<sip:1002@127.0.0.2?Replaces={wish}&Subject=evil>"
    world.pbx.request(agent.leg, "REFER", [("Refer-To", to)], now=world.now)
    world.run(0.4)
    invite = world.offered[-1]
    assert invite.get("Replaces") == "abc@pbx;to-tag=t;from-tag=f" and invite.get("Subject") is None


@pytest.mark.parametrize("how", ["here", "pass"])
def test_a_stranger_has_nobody_replaced_but_himself(how: str) -> None:
    """We are trusted where he is not: what he may not ask himself we do not ask for him."""
    world = World(refer=how)
    customer, agent, second, asked = consulting(world, "1002")
    recorded, other = world.switchboard
    recorded.way = recorded.way.with_other("callee", "carrier", stranger(world), recorded.way.to)
    recorded.config = recorded.config.with_peer("carrier", stranger(world))
    invited = len(world.offered)
    to = "<sip:1002@127.0.0.2?Replaces=abc%40pbx%3Bto-tag%3Dt%3Bfrom-tag%3Df>"
    world.pbx.request(agent.leg, "REFER", [("Refer-To", to)], now=world.now)
    world.run(0.1)
    world.refer(agent, "1002", second)
    world.run(0.5)
    assert agent.answers == [("REFER", 403), ("REFER", 403)]
    assert len(world.offered) == invited and not any(phone.gone for phone in (customer, second, asked))
    other.way = other.way.with_other("caller", "carrier", stranger(world), other.way.from_)
    world.refer(agent, "1002", second)
    world.run(0.5)
    assert agent.answers[2] == ("REFER", 202), "his own"


def test_nobody_has_a_call_taken_from_him_by_a_dialog_seen_from_the_wrong_end() -> None:
    """The tags are those of the end that is asked: swapped they name nothing of ours."""
    world = World(refer="here")
    _, agent, second, asked = consulting(world, "1002")
    dialog = world.pbx.dialog(second.leg)
    assert dialog is not None
    wish = f"{dialog.call_id}%3Bto-tag%3D{dialog.local_tag}%3Bfrom-tag%3D{dialog.remote_tag}"
    world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 481, now=world.now)
    world.pbx.request(agent.leg, "REFER", [("Refer-To", f"<sip:1002@x?Replaces={wish}>")], now=world.now)
    world.run(0.5)
    assert agent.news == [100, 481] and not second.gone and not asked.gone


def test_when_both_were_told_at_once_every_leg_ends() -> None:
    """With loss, in any order: nobody is left in a call that the others have left."""
    for seed in range(12):
        world = World(seed, refer="here", loss=0.1)
        answering(world)
        customer = world.dial("1001", line="sales", caller=CUSTOMER)
        world.run(4.0)
        agent = world.agent
        second = world.dial("1002", caller=AGENT, aside=True)
        world.run(2.0)
        if agent is None or not agent.up or not second.up:
            continue
        world.refer(agent, "1002", second)
        world.run(4.0)
        world.hang_up(customer)
        world.run(1.0)
        for phone in world.phones:
            if not phone.gone:
                world.hang_up(phone)
        ended(world)
