"""A user agent with a UDP and a TCP socket: what leaves by which, and what becomes of it when a connection fails."""

from __future__ import annotations

import random
from typing import Any

import pytest

from qm_sip.sip import events as ev
from qm_sip.sip.core import DEAF_FOR, MOST_IN_A_DATAGRAM
from qm_sip.sip.events import Address, Datagram
from qm_sip.sip.message import Request, Response, parse
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.sip.network import SDP, answer_to, request

UDP, TCP = Address("192.0.2.1", 5060), Address("192.0.2.1", 5060, "tcp")
PEER, PEER_TCP = Address("192.0.2.2", 5060), Address("192.0.2.2", 5060, "tcp")
FLOW = Address("192.0.2.2", 40_001, "tcp")  # a connection that the peer made
LONG = ("X-Long", "x" * MOST_IN_A_DATAGRAM)


class Desk:
    """One user agent, and a hand-written world round it."""

    def __init__(self, *sockets: Address, **settings: Any) -> None:
        self.ua = UserAgent(UserAgentSettings(**settings), random.Random(3), lambda request, source: None)
        self.ua.listens(sockets or (UDP, TCP))
        self.now = 0.0
        self.events: list[ev.UaEvent] = []

    def out(self) -> list[Datagram]:
        """What has been sent since the last time."""
        self.events += self.ua.take_events()
        return self.ua.take_datagrams()

    def one(self) -> tuple[Request | Response, Datagram]:
        (sent,) = self.out()
        return parse(sent.data), sent

    def feed(self, data: bytes, source: Address, local: Address) -> None:
        self.ua.receive(data, source, local, self.now)

    def call(self, destination: Address = PEER_TCP, near: Address = UDP, **kw: Any) -> Datagram:
        self.ua.invite(
            "c",
            "sip:x@192.0.2.2",
            to="<sip:x@192.0.2.2>",
            from_="<sip:a@b>",
            body=SDP,
            destination=destination,
            local=near,
            now=self.now,
            **kw,
        )
        return self.one()[1]

    def answered(self, contact: str, destination: Address = PEER_TCP) -> Datagram:
        """A call of ours that stands; what comes back is our ACK."""
        sent = self.call(destination)
        self.feed(answer_to(sent.data, 200, body=SDP, contact=contact), sent.destination, sent.local)
        return self.one()[1]

    def offered(self, contact: str = "", source: Address = FLOW, local: Address = TCP) -> str:
        """A call of the peer's that stands."""
        transport = source.transport.upper()
        data = request(via=f"Via: SIP/2.0/{transport} 192.0.2.2:5060;branch=z9hG4bK-o", body=SDP)
        self.feed(
            data.replace(b"<sip:alice@192.0.2.1:5060>", contact.encode() or b"<sip:p@192.0.2.2>"),
            source,
            local,
        )
        self.out()
        offer = self.events[-1]
        assert isinstance(offer, ev.CallOffered)
        self.ua.answer(offer.leg, SDP, now=self.now)
        ok = self.one()[0]
        ack = request("ACK", to_tag=ok.to.tag or "", branch="z9hG4bK-a")
        self.feed(ack, source, local)
        assert self.out() == []
        return offer.leg


def text(message: Request | Response, name: str) -> str:
    return message.get(name) or ""


# ---------------------------------------------------------------------------- by which socket


def test_a_call_to_a_peer_over_tcp_leaves_by_the_tcp_socket_and_says_so() -> None:
    sent = Desk().call()
    invite = parse(sent.data)
    assert (sent.destination, sent.local) == (PEER_TCP, TCP)
    assert text(invite, "via").startswith("SIP/2.0/TCP 192.0.2.1:5060;branch=")
    assert text(invite, "contact") == "<sip:qm@192.0.2.1:5060;transport=tcp>"


def test_of_several_sockets_it_takes_the_one_beside_the_callers() -> None:
    other = Address("192.0.2.9", 5060, "tcp")
    assert Desk(UDP, other, TCP).call().local == TCP
    assert Desk(UDP, other).call().local == other
    sixth = Address("2001:db8::1", 5060, "tcp")
    assert Desk(UDP, sixth).call().local == UDP  # of another family: no way at all


def test_without_a_tcp_socket_everything_goes_by_udp() -> None:
    desk = Desk(UDP)
    sent = desk.call()
    assert (sent.destination, sent.local) == (PEER, UDP)
    assert text(parse(sent.data), "via").startswith("SIP/2.0/UDP")
    assert b"transport" not in sent.data


def test_the_external_address_names_the_transport_too() -> None:
    sent = Desk(external_address=Address("203.0.113.1", 0)).call()
    invite = parse(sent.data)
    assert text(invite, "via").startswith("SIP/2.0/TCP 203.0.113.1:5060;")
    assert text(invite, "contact") == "<sip:qm@203.0.113.1:5060;transport=tcp>"


@pytest.mark.parametrize(
    ("contact", "to"),
    [
        ("<sip:x@192.0.2.7:5099;transport=tcp>", Address("192.0.2.7", 5099, "tcp")),
        ("<sip:x@192.0.2.7:5099;transport=TCP>", Address("192.0.2.7", 5099, "tcp")),
        ("<sip:x@192.0.2.7:5099;transport=udp>", Address("192.0.2.7", 5099)),
        ("<sip:x@192.0.2.7:5099>", Address("192.0.2.7", 5099, "tcp")),  # as the dialog began
        ("<sip:x@192.0.2.7:5099;transport=ws>", Address("192.0.2.7", 5099, "tcp")),  # what we do not have
        ("<sip:x@pbx.example>", PEER_TCP),
    ],
)
def test_in_a_dialog_the_contact_says_where_and_over_what(contact: str, to: Address) -> None:
    desk = Desk()
    ack = desk.answered(contact)
    assert ack.destination == to and ack.local == (TCP if to.reliable else UDP)
    via = text(parse(ack.data), "via")
    assert via.startswith(f"SIP/2.0/{to.transport.upper()} ") and text(parse(ack.data), "contact").endswith(
        "tcp>"
    )
    desk.ua.bye("c", now=0)
    bye = desk.one()[1]
    assert (bye.destination, bye.local) == (ack.destination, ack.local)


def test_a_route_of_the_proxy_decides_too() -> None:
    desk = Desk()
    sent = desk.call(PEER)
    extra = ("Record-Route: <sip:192.0.2.50;transport=tcp;lr>",)
    desk.feed(answer_to(sent.data, 200, body=SDP, extra=extra), PEER, UDP)
    assert desk.one()[1].destination == Address("192.0.2.50", 5060, "tcp")


def test_an_answer_leaves_by_the_connection_of_its_request_whatever_the_leg_is() -> None:
    desk = Desk()
    leg = desk.offered()
    tag = text(parse(desk.ua._core.legs[leg].invite.data), "to").partition("tag=")[2]  # type: ignore[attr-defined]
    for source, local in ((Address("192.0.2.2", 5060), UDP), (Address("192.0.2.2", 40_002, "tcp"), TCP)):
        branch = f"z9hG4bK-i{source.port}"
        info = request("INFO", to_tag=tag, branch=branch, cseq=source.port, via="")
        desk.feed(info, source, local)
        desk.out()
        event = desk.events[-1]
        assert isinstance(event, ev.InDialogRequest)
        desk.ua.respond(leg, event.token, 200, now=0)
        sent = desk.one()[1]
        assert sent.local == local and sent.destination.host == source.host
        assert sent.destination == source or not local.reliable
    for method in ("OPTIONS", "JUMP", "CANCEL"):  # without a transaction
        desk.feed(request(method, branch=f"z9hG4bK-{method}", call_id=method), FLOW, TCP)
        answer, sent = desk.one()
        assert (sent.destination, sent.local) == (FLOW, TCP)
        assert "received=192.0.2.2" in text(answer, "via") and "rport=40001" in text(answer, "via")
    desk.feed(request("OPTIONS", branch="z9hG4bK-bad", call_id="bad", extra=("Max-Forwards: x",)), FLOW, TCP)
    assert desk.one()[1][1:] == (FLOW, TCP)


def test_a_2xx_is_repeated_over_tcp_until_its_ack() -> None:
    desk = Desk()
    desk.feed(request(via="Via: SIP/2.0/TCP 192.0.2.2:5060;branch=z9hG4bK-o", body=SDP), FLOW, TCP)
    desk.out()
    offer = desk.events[-1]
    assert isinstance(offer, ev.CallOffered)
    desk.ua.provisional(offer.leg, 180, now=0)
    desk.ua.answer(offer.leg, SDP, now=0)
    sent = [parse(d.data) for d in desk.out()]
    for at in (0.5, 1.5, 3.5, 7.5):
        desk.ua.advance(at)
        copies = desk.out()
        assert [d.destination for d in copies] == [FLOW]
        sent += [parse(d.data) for d in copies]
    assert [m.status for m in sent if isinstance(m, Response)] == [180, 200, 200, 200, 200, 200]
    desk.feed(request("ACK", to_tag=sent[-1].to.tag or "", branch="z9hG4bK-a"), FLOW, TCP)
    desk.ua.advance(31)
    assert desk.out() == []


# ---------------------------------------------------------------------------- by its size


def test_what_is_too_large_for_a_packet_goes_over_tcp() -> None:
    desk = Desk()
    sent = desk.call(PEER, headers=[LONG])
    assert (sent.destination, sent.local) == (PEER_TCP, TCP)
    invite = parse(sent.data)
    assert text(invite, "via").startswith("SIP/2.0/TCP ") and invite.headers[0].key == "via"
    assert text(invite, "contact") == "<sip:qm@192.0.2.1:5060>"  # the peer talks to us over UDP as ever
    desk.feed(answer_to(sent.data, 180), PEER_TCP, TCP)
    desk.ua.cancel("c", now=0)
    cancel = desk.one()[1]
    assert (cancel.destination, cancel.local) == (PEER_TCP, TCP)
    assert text(parse(cancel.data), "via") == text(invite, "via")


@pytest.mark.parametrize("over", [0, 1])
def test_the_edge_is_1300_bytes(over: int) -> None:
    without = len(Desk().call(PEER, headers=[("X-Long", "x")]).data)
    more = "x" * (MOST_IN_A_DATAGRAM - without + 1 + over)
    sent = Desk().call(PEER, headers=[("X-Long", more)])
    assert sent.destination == (PEER_TCP if over else PEER)
    assert len(sent.data) == MOST_IN_A_DATAGRAM + over - (len(";rport") if over else 0)


def test_a_peer_without_tcp_gets_it_over_udp_and_is_not_asked_again_for_a_minute() -> None:
    desk = Desk()
    first = desk.call(PEER, headers=[LONG])
    desk.ua.transport_failed(PEER_TCP, TCP, 0)
    second, sent = desk.one()
    assert (sent.destination, sent.local) == (PEER, UDP)
    assert text(second, "via").startswith("SIP/2.0/UDP ") and second.call_id == parse(first.data).call_id
    assert not desk.events
    desk.feed(answer_to(sent.data, 200, body=SDP), PEER, UDP)
    desk.out()
    desk.ua.reoffer("c", SDP, headers=[LONG], now=DEAF_FOR - 1)
    assert desk.one()[1].destination == PEER
    desk.now = DEAF_FOR + 1
    desk.ua.reject_new(None)
    desk.ua.request("c", "INFO", headers=[LONG], now=desk.now)
    assert desk.one()[1].destination == PEER_TCP


def test_who_is_there_over_neither_is_not_there() -> None:
    desk = Desk()
    desk.call(PEER, headers=[LONG])
    desk.ua.transport_failed(PEER_TCP, TCP, 0)
    desk.out()
    desk.ua.transport_failed(PEER, UDP, 0)
    desk.out()
    assert [type(e).__name__ for e in desk.events] == ["Rejected", "LegGone"]
    assert isinstance(desk.events[0], ev.Rejected) and desk.events[0].status == 503


def test_a_call_given_up_while_it_is_moved_ends() -> None:
    desk = Desk()
    desk.call(PEER, headers=[LONG])
    desk.ua.cancel("c", now=0)
    desk.ua.transport_failed(PEER_TCP, TCP, 0)
    assert desk.out() == []
    assert [e.status for e in desk.events if isinstance(e, ev.Rejected)] == [487]


# ---------------------------------------------------------------------------- when a connection fails


def test_a_refused_connection_is_a_503_at_once() -> None:
    desk = Desk()
    desk.call()
    desk.ua.transport_failed(PEER_TCP, TCP, 0)
    assert desk.out() == []
    assert [type(e).__name__ for e in desk.events] == ["Rejected", "LegGone"]
    assert isinstance(desk.events[0], ev.Rejected) and desk.events[0].status == 503


def test_a_call_goes_on_without_its_connection_and_ends_over_another() -> None:
    desk = Desk()
    leg = desk.offered("<sip:p@192.0.2.2:5060;transport=tcp>")
    assert desk.ua.talks_over(FLOW, TCP) and not desk.ua.talks_over(FLOW._replace(port=1), TCP)
    desk.ua.connection_lost(FLOW, TCP, 0)
    assert desk.out() == [] and not isinstance(desk.events[-1], ev.Ended)
    desk.ua.bye(leg, now=0)
    bye = desk.one()[1]
    assert bye.destination == PEER_TCP
    desk.feed(answer_to(bye.data, 200), PEER_TCP, TCP)
    desk.ua.advance(40)
    desk.out()
    assert isinstance(desk.events[-1], ev.LegGone) and not desk.ua.talks_over(FLOW, TCP)


def test_a_contact_that_nobody_answers_at_is_reached_by_the_connection_of_the_call() -> None:
    desk = Desk()
    leg = desk.offered("<sip:p@192.0.2.2:5062;transport=tcp>")
    desk.ua.reoffer(leg, SDP, now=0)
    there = desk.one()[1]
    assert there.destination == Address("192.0.2.2", 5062, "tcp")
    desk.ua.transport_failed(there.destination, TCP, 0)
    again = desk.one()[1]
    assert again.destination == FLOW and parse(again.data).cseq.number > parse(there.data).cseq.number
    desk.feed(answer_to(again.data, 200, body=SDP, contact="<sip:p@192.0.2.2:5062;transport=tcp>"), FLOW, TCP)
    assert [d.destination.port for d in desk.out()] == [
        5062
    ]  # the ACK; if that is lost, its copy finds the way
    desk.feed(answer_to(again.data, 200, body=SDP, contact="<sip:p@192.0.2.2:5062;transport=tcp>"), FLOW, TCP)
    assert [d.destination.port for d in desk.out()] == [5062, 40_001]
    desk.ua.reoffer(leg, SDP, now=0)
    there = desk.one()[1]
    desk.ua.transport_failed(there.destination, TCP, 0)
    again = desk.one()[1]
    desk.ua.transport_failed(FLOW, TCP, 0)
    desk.out()
    assert isinstance(desk.events[-1], ev.OfferRejected) and desk.events[-1].status == 503


def test_a_bye_that_finds_nobody_ends_the_leg_all_the_same() -> None:
    desk = Desk()
    leg = desk.offered("<sip:p@192.0.2.2:5062;transport=tcp>")
    desk.ua.bye(leg, now=0)
    for _ in range(2):
        desk.ua.transport_failed(desk.one()[1].destination, TCP, 0)
    desk.ua.advance(33)  # of the INVITE's own transaction
    assert desk.out() == [] and isinstance(desk.events[-1], ev.LegGone) and desk.ua.legs == 0


@pytest.mark.parametrize("states", [0, 1, 2])
def test_what_waits_on_a_lost_connection_is_said_once_more_then_given_up(states: int) -> None:
    desk = Desk()
    sent = desk.call()
    for _ in range(states):
        desk.ua.connection_lost(PEER_TCP, TCP, 0)
    copies = desk.out()
    assert [c.data for c in copies] == [sent.data] * min(states, 1)
    assert [e.status for e in desk.events if isinstance(e, ev.Rejected)] == [503] * (states == 2)
