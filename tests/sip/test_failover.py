"""A next hop with several addresses: the next is tried; who answers late finds nobody waiting (RFC 3263 4.3)."""

from __future__ import annotations

from qm_sip.sip import events as ev
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, parse
from qm_sip.sip.ua import UserAgentSettings
from tests.sip.network import ALICE, BOB, SDP, Network

CAROL, DAVE = Address("192.0.2.3", 5060), Address("192.0.2.4", 5060)


def town(**kw: float) -> Network:
    net = Network()
    net.agent(ALICE, UserAgentSettings(**kw))
    return net


def call(net: Network, *places: Address, leg: str = "a") -> None:
    net.agents[ALICE].invite(
        leg,
        "sip:bob@example.com",
        to="<sip:bob@example.com>",
        from_="<sip:alice@192.0.2.1>",
        body=SDP,
        destination=places[0],
        others=places[1:],
        local=ALICE,
        now=net.now,
    )
    net.settle()


def invites(net: Network, to: Address) -> list[Request]:
    """The INVITEs that arrived there, without copies."""
    sent = [data for _, _, there, data in net.seen if there == to and data.startswith(b"INVITE")]
    return [message for data in dict.fromkeys(sent) if isinstance(message := parse(data), Request)]


def test_where_nobody_says_anything_the_next_address_is_tried_after_a_few_seconds() -> None:
    net = town()
    net.peer(BOB)
    carol = net.agent(CAROL)
    call(net, BOB, CAROL)
    net.run(3.9)
    assert invites(net, BOB) and not invites(net, CAROL)
    net.run(4.1)
    (first,), (second,) = invites(net, BOB), invites(net, CAROL)
    assert first.call_id == second.call_id and first.via.branch != second.via.branch
    assert second.cseq.number == first.cseq.number + 1
    (offered,) = net.of(ev.CallOffered)
    carol.answer(offered.leg, SDP, now=net.now)
    net.run(5)
    assert net.of(ev.Answered, "a") and not net.of(ev.Rejected)
    net.agents[ALICE].bye("a", now=net.now)
    net.drain()
    assert net.gone("a") and net.gone(offered.leg)


def test_a_503_and_an_icmp_error_go_on_at_once() -> None:
    for fails in ("503", "icmp"):
        net = town()
        bob, _ = net.agent(BOB), net.agent(CAROL)
        bob.reject_new(503)
        if fails == "icmp":
            del net.agents[BOB]
        call(net, BOB, CAROL)
        if fails == "icmp":
            net.agents[ALICE].transport_failed(BOB, ALICE, net.now)
        net.run(0.1)
        assert len(invites(net, CAROL)) == 1, fails
        assert not net.of(ev.Rejected)


def test_a_peer_that_rings_is_not_left_for_another() -> None:
    net = town()
    bob = net.agent(BOB)
    net.agent(CAROL)
    call(net, BOB, CAROL)
    (offered,) = net.of(ev.CallOffered)
    net.run(60)
    assert not invites(net, CAROL)
    bob.reject(offered.leg, 486, now=net.now)
    net.run(61)
    assert [event.status for event in net.of(ev.Rejected)] == [486]
    assert not invites(net, CAROL), "a phone that is busy is busy at every address"


def test_when_all_are_silent_the_call_fails_once() -> None:
    net = town()
    for silent in (BOB, CAROL, DAVE):
        net.peer(silent)
    call(net, BOB, CAROL, DAVE)
    net.drain()
    assert [(event.status, event.response) for event in net.of(ev.Rejected)] == [(408, None)]
    assert net.gone("a")
    assert 8 + 32 - 1 < net.now < 8 + 32 + 41


def test_a_first_peer_that_wakes_up_late_is_cancelled_or_hung_up_on() -> None:
    for wakes in ("rings", "answers"):
        net = town()
        letters = net.peer(BOB)
        carol = net.agent(CAROL)
        call(net, BOB, CAROL)
        net.run(4.1)
        del net.raw[BOB]
        bob = net.agent(BOB)
        bob.receive(letters[0], ALICE, BOB, net.now)
        net._collect()
        at_carol, at_bob = (event.leg for event in net.of(ev.CallOffered))
        if wakes == "answers":
            bob.answer(at_bob, SDP, now=net.now)
        carol.answer(at_carol, SDP, now=net.now)
        net.run(net.now + 3)
        assert len(net.of(ev.Answered, "a")) == 1
        assert net.of(ev.Acknowledged, at_carol)
        # RFC 3261 9.1: the CANCEL follows his first 1xx; a 2xx is acknowledged and ended.
        assert net.of(ev.Cancelled if wakes == "rings" else ev.Ended, at_bob), wakes
        net.agents[ALICE].bye("a", now=net.now)
        net.drain()
        assert net.gone("a") and net.gone(at_bob) and net.gone(at_carol)
        assert not net.agents[ALICE]._core.legs


def test_whoever_gives_up_while_it_moves_on_is_given_up_everywhere() -> None:
    net = town()
    net.peer(BOB)
    net.agent(CAROL)
    call(net, BOB, CAROL)
    net.run(2)
    net.agents[ALICE].cancel("a", now=net.now)
    net.drain()
    assert not invites(net, CAROL)
    assert [event.status for event in net.of(ev.Rejected)] == [487]


def test_who_was_silent_is_tried_last_for_a_minute() -> None:
    net = town()
    net.peer(BOB)
    net.agent(CAROL)
    call(net, BOB, CAROL)
    net.run(5)
    call(net, BOB, CAROL, leg="b")
    assert len(invites(net, CAROL)) == 2, "the second call does not wait for him again"
    net.run(66)
    call(net, BOB, CAROL, leg="c")
    assert len(invites(net, CAROL)) == 2 and len(invites(net, BOB)) == 2


def test_a_503_holds_for_as_long_as_it_says() -> None:
    net = town()
    bob, _ = net.agent(BOB, UserAgentSettings(retry_after=10)), net.agent(CAROL)
    bob.reject_new(503)
    call(net, BOB, CAROL)
    bob.reject_new(None)
    net.run(9)
    call(net, BOB, CAROL, leg="b")
    assert len(invites(net, BOB)) == 1
    net.run(11)
    call(net, BOB, CAROL, leg="c")
    assert len(invites(net, BOB)) == 2
