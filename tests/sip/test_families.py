"""A user agent with sockets of several transports and families: nothing leaves TLS, each peer is met in its own."""

from __future__ import annotations

import pytest

from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, parse
from qm_sip.sip.reply import mark_arrival, reconnect_address, reply_address
from qm_sip.sip.validate import check_request
from qm_sip.sip.via import Via
from tests.sip.network import request
from tests.sip.test_streams import LONG, PEER, TCP, UDP, Desk, text

TLS, SIX = Address("192.0.2.1", 5061, "tls"), Address("2001:db8::1", 5060)
SIX_TCP, SIX_TLS = SIX._replace(transport="tcp"), Address("2001:db8::1", 5061, "tls")
PEER_TLS, PEER_SIX = Address("192.0.2.2", 5061, "tls"), Address("2001:db8::2", 5060)
ALL = (UDP, TCP, TLS, SIX, SIX_TCP, SIX_TLS)


def read(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def test_a_call_over_tls_says_so() -> None:
    sent = Desk(*ALL).call(PEER_TLS)
    assert (sent.destination, sent.local) == (PEER_TLS, TLS)
    invite = parse(sent.data)
    assert text(invite, "via").startswith("SIP/2.0/TLS 192.0.2.1:5061;branch=")
    assert text(invite, "contact") == "<sip:qm@192.0.2.1:5061;transport=tls>"


def test_what_is_large_goes_over_tls_too_if_the_peer_does() -> None:
    sent = Desk(*ALL).call(PEER_TLS, headers=[LONG])
    assert (sent.destination, sent.local) == (PEER_TLS, TLS)


def test_with_tls_but_no_tcp_what_is_large_for_a_peer_over_udp_stays_there() -> None:
    sent = Desk(UDP, TLS).call(PEER, headers=[LONG])
    assert (sent.destination, sent.local) == (PEER, UDP)


@pytest.mark.parametrize(
    ("contact", "to"),
    [
        ("<sip:x@192.0.2.7:5099;transport=tls>", Address("192.0.2.7", 5099, "tls")),
        ("<sip:x@192.0.2.7;transport=TLS>", Address("192.0.2.7", 5061, "tls")),
        ("<sip:x@192.0.2.7:5099>", Address("192.0.2.7", 5099, "tls")),
        ("<sip:x@192.0.2.7:5099;transport=udp>", PEER_TLS),
        ("<sip:x@192.0.2.7:5099;transport=tcp>", PEER_TLS),
        ("<sip:x@pbx.example;transport=udp>", PEER_TLS),
    ],
)
def test_a_dialog_that_began_over_tls_stays_there(contact: str, to: Address) -> None:
    desk = Desk(*ALL)
    ack = desk.answered(contact, PEER_TLS)
    assert (ack.destination, ack.local) == (to, TLS)
    desk.ua.bye("c", now=1)
    assert desk.one()[1].destination == to


def test_a_dialog_may_go_over_to_tls() -> None:
    ack = Desk(*ALL).answered("<sip:x@192.0.2.7;transport=tls>", PEER)
    assert (ack.destination, ack.local) == (Address("192.0.2.7", 5061, "tls"), TLS)


@pytest.mark.parametrize("near", ALL)
@pytest.mark.parametrize(
    ("there", "ours"),
    [(PEER, UDP), (PEER_TLS, TLS), (PEER_SIX, SIX), (PEER_SIX._replace(transport="tls"), SIX_TLS)],
)
def test_a_call_leaves_by_a_socket_of_the_callees_family(
    near: Address, there: Address, ours: Address
) -> None:
    sent = Desk(*ALL).call(there, near)
    assert (sent.destination, sent.local) == (there, ours)
    host = f"[{ours.host}]" if ":" in ours.host else ours.host
    assert text(parse(sent.data), "via").startswith(f"SIP/2.0/{ours.transport.upper()} {host}:{ours.port};")
    assert f"@{host}:{ours.port}" in text(parse(sent.data), "contact")


def test_without_the_transport_in_that_family_it_is_met_over_what_there_is() -> None:
    sent = Desk(UDP, SIX).call(PEER_SIX._replace(transport="tls"))
    assert (sent.destination, sent.local) == (PEER_SIX, SIX)


def test_the_external_address_stands_for_sockets_of_its_family() -> None:
    desk = Desk(*ALL, external_address=Address("203.0.113.9", 0))
    assert "203.0.113.9:5060" in text(parse(desk.call(PEER).data), "contact")
    desk = Desk(*ALL, external_address=Address("203.0.113.9", 0))
    assert "[2001:db8::1]:5060" in text(parse(desk.call(PEER_SIX).data), "contact")


def test_where_a_via_without_a_port_is_heard() -> None:
    assert Via.parse("SIP/2.0/TLS pbx.example;branch=z9hG4bKx").sent_by == ("pbx.example", 5061)
    assert Via.parse("SIP/2.0/TCP pbx.example;branch=z9hG4bKx").sent_by == ("pbx.example", 5060)
    marked = mark_arrival(read(request(via="Via: SIP/2.0/TLS pbx.example;branch=z9hG4bKx")), PEER_TLS)
    assert reconnect_address(marked, TLS) == PEER_TLS


@pytest.mark.parametrize("received", ["2001:db8::9", "[2001:db8::9]"])
def test_the_address_in_a_via_may_stand_without_brackets(received: str) -> None:
    """RFC 3261 25.1 wants none; many write them."""
    via = f"Via: SIP/2.0/UDP [2001:db8::5]:5070;rport=5071;received={received};branch=z9hG4bKx"
    assert reply_address(read(request(via=via)), SIX) == Address("2001:db8::9", 5071)


def test_we_mark_an_ipv6_arrival_without_brackets() -> None:
    marked = mark_arrival(read(request(via="Via: SIP/2.0/UDP [2001:db8::5];branch=z9hG4bKx")), PEER_SIX)
    assert ";received=2001:db8::2" in str(marked.via)
    same = mark_arrival(read(request(via="Via: SIP/2.0/UDP [2001:DB8:0::2]:5060;branch=z9hG4bKx")), PEER_SIX)
    assert reply_address(same, SIX) == PEER_SIX


def test_sips_promises_more_than_we_can_see() -> None:
    data = request().replace(b" sip:", b" sips:", 1)
    with pytest.raises(SipParseError) as refused:
        check_request(read(data))
    assert refused.value.status == 416


def test_a_dialog_of_a_sips_contact_is_reached_over_tls() -> None:
    ack = Desk(*ALL).answered("<sips:x@192.0.2.7>", PEER_TLS)
    assert ack.destination == Address("192.0.2.7", 5061, "tls")
