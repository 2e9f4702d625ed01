"""Transfers by REFER: who hears whom afterwards, what is kept of whom, and what the transferor is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.transfer import MOST
from qm_sip.call.words import CountConfidential, ForgetCall, NoteTransfer, OpenRecording
from qm_sip.config import Peer
from qm_sip.config.registry import Entry, Registry
from qm_sip.media import protocol
from qm_sip.policy.facts import LineKind, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import answering, ended, kept, states
from tests.call.world import Phone, World

CUSTOMER, AGENT, SECOND, COUNCIL, OUTSIDE = "0612345678", "1001", "1002", "1900", "0687654321"


def talking(world: World, *, line: str = "sales", number: str = AGENT) -> tuple[Phone, Phone]:
    """A customer and an agent, who is being recorded."""
    answering(world)
    customer = world.dial(number, line=line, caller=CUSTOMER)
    world.run(2.5)
    agent = world.agent
    assert agent is not None and agent.up and customer.up
    answering(world, identity="")  # nobody says who it is that answers next: he is whom we called
    return customer, agent


def hear_each_other(world: World, one: Phone, other: Phone) -> bool:
    """Whether what each says reaches the other now, through us or directly."""
    before = (len(one.heard), len(other.heard))
    world.run(0.3)
    relayed = len(one.heard) > before[0] + 5 and len(other.heard) > before[1] + 5
    return relayed or (one.target == (other.host, other.port) and other.target == (one.host, one.port))


def stranger(world: World) -> Peer:
    """The peer of this world, if nobody believed it."""
    return world.config.peer("asterisk").model_copy(update={"trusted": False})


def agents(world: World) -> list[str | None]:
    return [word.agent.person if word.agent else None for word in world.keeper.said(OpenRecording)]


# --------------------------------------------------------------------------- blind, carried out here


@pytest.mark.parametrize("held", [False, True])
def test_blind_the_target_takes_the_place_and_is_recorded_anew(held: bool) -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    if held:
        world.hold(agent, Direction.SENDONLY)
        world.run(0.3)
    world.refer(agent, SECOND)
    world.run(1.5)
    assert agent.answers[0] == ("REFER", 202)
    assert agent.news == [100, 180, 200] and agent.gone
    second = world.agent
    assert second is not None and second is not agent and second.up
    assert hear_each_other(world, customer, second)
    world.hang_up(customer)
    world.run(0.3)
    assert second.gone
    ended(world)
    assert agents(world) == ["a1", "a2"]
    assert states(world).count(SpanState.RECORDED) == 2
    (moved,) = world.keeper.said(NoteTransfer)
    assert (moved.how, moved.gone, moved.came) == ("blind", "agent", "agent") and moved.at_ms > 2500
    assert len([tap for tap in world.engine.asked(protocol.OpenTap) if tap.use == "record"]) == 2


def test_it_is_whoever_answers_that_is_recorded_if_he_is_named() -> None:
    """A number may ring at several phones: a trusted peer says in its answer which it was."""
    world = World(refer="here")
    _, agent = talking(world)
    answering(world, identity=SECOND)
    world.refer(agent, "2222")
    world.run(1.5)
    assert agents(world) == ["a1", "a2"]


def test_a_number_that_nobody_knows_is_no_reason_to_hide_who_answered() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    answering(world, identity=COUNCIL)
    world.refer(agent, "2222")
    world.run(1.5)
    council = world.agent
    assert council is not None and customer.target == (council.host, council.port)
    assert agents(world) == ["a1"]


def test_the_old_agents_recording_ends_before_the_engine_knows_where_the_new_one_is() -> None:
    """What the new one says could else be kept as the old one's (I2)."""
    world = World(refer="here")
    _, agent = talking(world)
    before = len(world.engine.commands)
    world.refer(agent, SECOND)
    world.run(1.5)
    after = world.engine.commands[before:]
    kinds = [type(command).__name__ for command in after if not isinstance(command, protocol.Lease)]
    assert kinds.index("CloseTap") < kinds.index("SetRemote") < kinds.index("OpenTap")
    (closed,) = [command for command in after if isinstance(command, protocol.CloseTap)]
    assert not closed.keep_held_back


def test_a_target_that_does_not_answer_leaves_the_call_as_it_was() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 486, now=world.now)
    world.refer(agent, SECOND)
    world.run(1.0)
    assert agent.news == [100, 486] and not agent.gone
    assert hear_each_other(world, customer, agent)
    assert agents(world) == ["a1"]
    world.hang_up(customer)
    ended(world)
    assert states(world).count(SpanState.RECORDED) == 1


def test_a_transferor_who_leaves_at_once_leaves_the_customer_with_ringing_and_nothing_is_kept() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.refer(agent, SECOND)
    world.run(0.1)
    world.hang_up(agent)
    world.run(0.02)
    gone = world.now
    assert world.engine.asked(protocol.Tone)[-1].tone == "ringback"
    world.run(1.5)
    second = world.agent
    assert second is not None and second is not agent
    taken = gone + 0.35
    assert not [at for _, at in kept(world) if gone + 0.03 < at < taken]
    assert hear_each_other(world, customer, second)
    world.hang_up(second)
    ended(world)
    assert agents(world) == ["a1", "a2"]
    assert SpanState.HOLD in states(world)


@pytest.mark.parametrize("who", ["target", "customer"])
def test_if_nobody_is_left_to_talk_to_the_call_ends(who: str) -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.on_ringing = lambda phone: world.later(
        0.5,
        lambda: None if phone.gone or who == "customer" else world.pbx.reject(phone.leg, 480, now=world.now),
    )
    world.refer(agent, SECOND)
    world.run(0.1)
    world.hang_up(agent)
    world.run(0.2)
    if who == "customer":
        world.hang_up(customer)
    world.run(1.0)
    assert customer.gone and world.agent is not None and not world.agent.up
    ended(world)


def test_to_the_works_council_nothing_more_is_kept_before_its_phone_rings() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    rang: list[float] = []

    def ring(phone: Phone) -> None:
        rang.append(world.now)
        world.later(0.5, lambda: world.answer(phone))

    world.on_ringing = ring
    world.refer(agent, COUNCIL)
    world.run(2.0)
    council = world.agent
    assert council is not None and hear_each_other(world, customer, council)
    for leg in world.ua._core.legs:  # also of those that have gone or come nothing may be shown (I8)
        known = world.switchboard.leg_of(leg)
        assert known is not None and known[0].unsaid
    assert world.switchboard.legs_shown == 0
    assert customer.target == (council.host, council.port), "its audio must not come here (I1)"
    assert len(world.engine.asked(protocol.CloseCall)) == 1
    assert max(at for _, at in kept(world)) < rang[0]
    world.hang_up(customer)
    ended(world)
    assert len(world.keeper.said(CountConfidential)) + len(world.keeper.said(ForgetCall)) == 1
    assert not world.keeper.said(NoteTransfer), "that would say when it was, and how long"
    assert agents(world) == ["a1"]


def test_an_unrecorded_call_to_the_council_is_forgotten() -> None:
    world = World(refer="here")
    customer, agent = talking(world, line="", number="2222")
    world.refer(agent, COUNCIL)
    world.run(2.0)
    council = world.agent
    assert council is not None and customer.target == (council.host, council.port)
    world.hang_up(customer)
    ended(world)
    assert len(world.keeper.said(ForgetCall)) == 1


def test_somebody_outside_who_has_been_told_nothing_is_not_recorded() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.refer(agent, OUTSIDE)
    world.run(1.2)
    third = world.agent
    assert third is not None and third is not agent
    assert [word.came for word in world.keeper.said(NoteTransfer)] == ["third"]
    since = world.now
    assert hear_each_other(world, customer, third)
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"]
    assert not [at for _, at in kept(world) if at > since]


def test_a_private_call_stays_private_whoever_it_goes_to() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.press(agent, "*1")
    world.run(2.0)
    since = world.now
    world.refer(agent, SECOND)
    world.run(1.5)
    second = world.agent
    assert second is not None and second is not agent
    assert hear_each_other(world, customer, second)
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"]
    assert not [at for _, at in kept(world) if at > since]
    assert states(world)[-1] is SpanState.PRIVATE
    assert [(word.gone, word.came) for word in world.keeper.said(NoteTransfer)] == [(None, None)]


def test_the_private_prefix_before_the_target_makes_the_call_private() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    since = world.now
    world.refer(agent, f"{world.config.lines.private.prefix}{SECOND}")
    world.run(1.5)
    second = world.agent
    assert second is not None and customer.target == (second.host, second.port)
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"] and states(world)[-1] is SpanState.PRIVATE
    assert not [at for _, at in kept(world) if at > since + 0.02]


def test_a_direct_call_is_joined_again_directly_also_from_hold() -> None:
    world = World(refer="here")
    customer, agent = talking(world, line="", number="2222")
    world.hold(agent, Direction.SENDONLY)
    world.run(0.3)
    world.refer(agent, "1003")
    world.run(1.5)
    third = world.agent
    assert third is not None and third is not agent
    assert customer.target == (third.host, third.port) and third.target == (customer.host, customer.port)
    assert not world.engine.asked(protocol.OpenCall)
    assert b"a=sendrecv" in world.offered[-1].body, "it was the one who has gone that held him"
    world.hang_up(third)
    ended(world)


def test_after_a_transfer_the_new_one_answers_offers_like_anybody() -> None:
    """The end that answered the first INVITE has gone; that it was another is nothing against the one who is there."""
    world = World(refer="here")
    customer, agent = talking(world, line="", number="2222")
    world.refer(agent, "1003")
    world.run(1.5)
    answers = customer.offers_answered
    world.hold(customer, Direction.SENDONLY)
    world.run(0.5)
    assert customer.offers_answered == answers + 1 and not customer.offers_refused
    world.pbx.reoffer(customer.leg, None, now=world.now)  # without an offer: the new one makes it
    world.run(0.5)
    assert not customer.offers_refused
    assert world.agent is not None
    world.hang_up(world.agent)
    ended(world)


def test_an_offer_in_transit_when_the_target_turns_out_to_be_confidential_is_answered() -> None:
    world = World(refer="here")
    customer, agent = talking(world, line="", number="2222")
    world.thinks(customer, 0.5)
    world.hold(agent, Direction.SENDONLY)
    world.run(0.1)
    world.refer(agent, COUNCIL)
    world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 486, now=world.now)
    world.run(0.6)
    assert agent.offers_answered == 1 and not agent.offers_refused, (
        "by the first answer, not by one to another offer"
    )
    world.run(2.4)
    assert hear_each_other(world, customer, agent)
    world.hold(customer, Direction.SENDONLY)
    world.run(0.5)
    assert customer.offers_answered == 1, "nothing is in transit any more"
    world.hang_up(customer)
    ended(world)


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("<http://example.org/>", 416),
        ("<sip:1002@127.0.0.2;method=BYE>", 501),
        ("<sip:1002@127.0.0.2>, <sip:1003@127.0.0.2>", 400),
        ("nonsense", 400),
        ("<sip:1002@127.0.0.2?Replaces=x%3Bto-tag%3D1>", 400),
        ("<sip:1002@127.0.0.2?Replaces=x%0d%0aEvil:%3Bto-tag%3D1%3Bfrom-tag%3D2>", 400),
        ("<sip:127.0.0.2>", 404),
        ("<sip:*55@127.0.0.2>", 403),
    ],
)
def test_a_refer_that_leads_nowhere(to: str, status: int) -> None:
    world = World(refer="here")
    _, agent = talking(world)
    world.pbx.request(agent.leg, "REFER", [("Refer-To", to)], now=world.now)
    world.run(0.5)
    assert agent.answers == [("REFER", status)] and agent.news == []
    assert world.agent is agent


def test_without_the_setting_every_refer_is_refused() -> None:
    world = World()
    _, agent = talking(world)
    world.refer(agent, SECOND)
    world.run(0.5)
    assert agent.answers == [("REFER", 403)] and world.agent is agent


def test_nobody_is_called_whom_the_peer_could_not_call_itself() -> None:
    """No open relay: the routes are those of whoever asks."""
    world = World(refer="here")
    config = world.config
    routes = tuple(route for route in config.server.routes if route.called)  # only numbers that begin with 0
    _, agent = talking(world)
    call = next(iter(world.switchboard))
    call.config = replace(config, server=config.server.model_copy(update={"routes": routes}))
    world.refer(agent, SECOND)
    world.run(0.5)
    assert agent.answers == [("REFER", 404)] and world.agent is agent


def test_one_at_a_time_and_not_for_ever() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.on_ringing = lambda phone: None
    world.refer(agent, SECOND)
    world.run(0.2)
    world.refer(agent, "1003")
    world.run(0.2)
    assert agent.answers == [("REFER", 202), ("REFER", 491)]
    world.pbx.reject(world.agent.leg, 486, now=world.now)  # type: ignore[union-attr]
    world.run(0.2)
    world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 486, now=world.now)
    for _ in range(MOST):
        world.refer(agent, SECOND)
        world.run(0.3)
    assert agent.answers[-1] == ("REFER", 403)
    assert sum(answer == ("REFER", 202) for answer in agent.answers) == MOST
    world.hang_up(customer)
    ended(world)


def test_each_transfer_is_one_hop_more() -> None:
    world = World(refer="here")
    _, agent = talking(world)
    first = world.offered[-1].max_forwards
    for number in (SECOND, "1003"):
        world.refer(agent, number)
        world.run(1.5)
        agent = world.agent or agent
    assert first is not None
    assert [invite.max_forwards for invite in world.offered] == [first, first - 1, first - 2]


def test_who_wants_no_news_gets_none() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.refer(agent, SECOND, more=[("Refer-Sub", "false"), ("Require", "norefersub")])
    world.run(4.0)
    assert agent.answers == [("REFER", 202)] and agent.news == []
    assert agent.gone, "who does not hang up by himself is hung up"
    assert world.agent is not None and hear_each_other(world, customer, world.agent)


def test_who_stays_on_after_his_transfer_is_hung_up() -> None:
    world = World(refer="here")
    _, agent = talking(world)
    agent.leaves = False
    world.refer(agent, SECOND)
    world.run(1.5)
    assert agent.news[-1] == 200 and not agent.gone
    told = len(world.engine.asked(protocol.SetRemote))
    world.run(2.5)
    assert agent.gone
    again = world.engine.asked(protocol.SetRemote)[told:]
    assert [command.leg for command in again] == ["callee"], "from now on nothing can come from the old one"


def test_the_second_refer_of_a_dialog_is_told_apart_by_its_number() -> None:
    world = World(refer="here")
    _, agent = talking(world)
    world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 486, now=world.now)
    for _ in range(2):
        world.refer(agent, SECOND)
        world.run(0.5)
    events = [request.get("Event") for request in agent.asked]
    assert events[:2] == ["refer", "refer"]
    assert events[-1] is not None and events[-1].startswith("refer;id=")


def test_a_notify_of_nothing_is_refused_and_the_call_goes_on() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.pbx.request(
        agent.leg, "NOTIFY", [("Event", "refer"), ("Subscription-State", "active")], now=world.now
    )
    world.run(0.3)
    # 481 to our own peer's user agent would end its call, were it not for a NOTIFY (RFC 5057).
    assert agent.answers == [("NOTIFY", 481)] and hear_each_other(world, customer, agent)


def test_the_settings_of_a_private_number_end_the_recording() -> None:
    """Whoever is reached at a break room's number is left alone (row 5)."""
    world = World(refer="here")
    config, library = world.settings
    numbers = Registry()
    numbers.add_number("1777", Entry("break-room"))
    index = replace(config.index, never={**config.index.never, LineKind.PRIVATE: numbers})
    world.settings = world.switchboard.settings = Settings(replace(config, index=index), library)
    customer, agent = talking(world)
    world.refer(agent, "1777")
    world.run(1.5)
    call = next(iter(world.switchboard))
    assert call.facts.kind is LineKind.PRIVATE and not call.relayed
    world.hang_up(customer)
    ended(world)
    assert agents(world) == ["a1"]


def test_an_untrusted_transferor_names_nobody() -> None:
    world = World(refer="here")
    _, agent = talking(world)
    call = next(iter(world.switchboard))
    call.way = call.way.with_other("callee", "asterisk", stranger(world), call.way.to)
    world.refer(agent, SECOND, more=[("Referred-By", "<sip:boss@example.org>")])
    world.run(0.5)
    assert world.offered[-1].get("Referred-By") is None
    assert (
        world.offered[-1].get("P-Asserted-Identity") is not None
    )  # of the customer's, who stays, it is believed


def test_the_engine_dies_while_the_customer_waits_and_he_is_sent_to_nobody_who_has_gone() -> None:
    world = World(refer="here")
    customer, agent = talking(world)
    world.refer(agent, SECOND)
    world.run(0.1)
    world.hang_up(agent)
    world.run(0.1)
    before = customer.target
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(0.1)
    assert customer.target == before
    world.run(1.5)
    second = world.agent
    assert second is not None and second.up
    assert customer.target == (second.host, second.port) and second.target == (customer.host, customer.port)
    world.hang_up(customer)
    ended(world)
