"""What commonly goes wrong in B2BUAs, I: transactions, transport, who is who. One number of the list, one behaviour.

Each test is the script of a call through the whole B2BUA between two peers who speak by hand (`tests/call/between.py`).
The second half, `tests/call/test_the_list.py`, has the numbers that are about two legs. Elsewhere:

| number | more of it |
|---|---|
| 1-7 | `test_transaction.py` walks the tables, `test_ua.py` one leg at a time |
| 20-22 | `test_streams.py`, `test_message.py`, `test_framing.py`; over real sockets `tests/net` |
| 23 | `tests/torture` |
| 24 | `test_failover.py`, `test_locating.py`; `tests/net/test_resolver.py`, `test_tls.py` |
| 25 | `test_digest.py`, `test_digest_server.py`, `test_admission.py` |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qm_sip.net.identity import identities
from qm_sip.sip.events import Address
from qm_sip.sip.framing import PING, Framer, FramingError
from qm_sip.sip.message import Message, Request, Response
from tests.call.between import (
    ANSWER,
    HERE,
    LEFT,
    OFFER,
    OUTSIDE,
    PASSWORD,
    RIGHT,
    Between,
    Talk,
    kind_of,
    new_branch,
    sdp,
    whole,
)

CHALLENGE = 'Proxy-Authenticate: Digest realm="out", nonce="{}", qop="auth", algorithm={}'
DOUBLING = [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
CAPPED = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def since(times: list[float]) -> list[float]:
    """How long after the first each came."""
    return [round(at - times[0], 2) for at in times]


# ---------------------------------------------------------------------- transactions


@pytest.mark.parametrize("status", [100, 180, 183])
def test_01_a_phone_that_rings_for_minutes_is_not_given_up(status: int) -> None:
    """Elsewhere timer B ends a call that rings for 32 s. It may only run until the first 1xx; how long it may ring
    is ours to say, and the caller hears meanwhile that it still does.
    """
    between = Between()
    a = between.dial()
    b = between.called()
    between.run(3.0)
    copies = between.count(RIGHT)["INVITE"]
    b.reply(b.invite, status, tag="" if status == 100 else None)
    between.run(170.0)
    assert copies == 3 and between.count(RIGHT) == {"INVITE": copies}
    if status > 100:
        assert since(between.times(LEFT, "180 INVITE")) == [0, 60, 120]
    a.hear()
    b.reply(b.invite, 200, ANSWER)
    a.answered()
    between.run(1.0)
    a.ask("BYE")
    b.hear()
    between.over()
    assert between.count(RIGHT)["BYE"] > 0 and between.count(RIGHT)["CANCEL"] == 0


def test_01_how_long_it_may_ring_is_said_by_expires_and_by_us() -> None:
    """Elsewhere `Expires` of an INVITE is not looked at, or nothing ever ends the ringing."""
    for extra, at, said in ((("Expires: 20",), 20, "487 INVITE"), ((), 180, "480 INVITE")):
        between = Between()
        a, b = between.ringing("7000", OFFER, *extra)
        between.run(at - 1)
        assert a.heard() == ["180 INVITE"] * ((at - 1) // 60) and not b.heard()
        between.run(2.0)
        assert b.heard()[0] == "CANCEL"
        assert {kind for kind in a.heard() if not kind.startswith("180")} == {said}
        b.reply(b.invite, 487)
        a.ack()
        between.over()


def test_02_every_copy_of_a_failure_gets_an_ack_that_is_the_invites_own() -> None:
    """Elsewhere the ACK to a 486 is missing, or has a branch of its own, so that the peer repeats its answer for half a
    minute; or the transaction is gone before the last copy.
    """
    between = Between()
    a, b = between.ringing()
    for _ in range(3):
        b.reply(b.invite, 486)
        ack = b.request("ACK")
        assert (ack.uri, ack.all("via")) == (b.invite.uri, b.invite.all("via"))
        assert ack.all("route") == b.invite.all("route") and ack.cseq == (b.invite.cseq.number, "ACK")
        assert ack.to.tag == "b1" and ack.from_.tag == b.invite.from_.tag
        between.run(10.0)
    assert since(between.times(LEFT, "486 INVITE"))[:7] == CAPPED[:7], "the caller has not acknowledged it"
    a.hear()
    a.ack()
    between.run(1.0)  # timer D is 32 s; we are 31 s after the first
    b.reply(b.invite, 486)
    b.request("ACK")
    assert not a.heard(), "acknowledged, it is not repeated"
    between.over()


def test_03_the_ack_of_a_2xx_is_new_goes_the_dialogs_way_and_again_for_each_copy() -> None:
    """Elsewhere it has the INVITE's branch, ignores Contact and Record-Route, forgets credentials, or comes once."""
    between = Between()
    a = between.dial("3000")
    b = between.called(OUTSIDE)
    b.reply(b.invite, 407, b"", CHALLENGE.format("n1", "MD5"))
    _, again = b.hear()
    assert isinstance(again, Request) and again.get("proxy-authorization")
    b.is_called(again)
    routes = ("Record-Route: <sip:192.0.2.3:5060;lr>", "Record-Route: <sip:192.0.2.77;lr>")
    for _ in range(3):
        b.reply(again, 200, ANSWER, *routes, contact="<sip:desk@10.0.0.7:5099>")
        between.run(2.0)
    to_proxy = [said for said in between.said if said.message.start_line.startswith("ACK sip:desk")]
    assert len(to_proxy) == 3 and {said.to.host for said in to_proxy} == {"192.0.2.77"}
    ack = to_proxy[0].message
    assert isinstance(ack, Request) and ack.uri == "sip:desk@10.0.0.7:5099"
    assert ack.all("route") == ["<sip:192.0.2.77;lr>", "<sip:192.0.2.3:5060;lr>"]
    assert ack.via.branch != again.via.branch and ack.cseq == (again.cseq.number, "ACK")
    assert ack.get("proxy-authorization") == again.get("proxy-authorization")
    assert all(said.message == ack for said in to_proxy), "word for word the same"
    a.hear()
    a.ack()
    a.ask("BYE")
    between.over()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_04_a_2xx_is_repeated_until_its_ack_over_tcp_too_and_then_the_call_ends(transport: str) -> None:
    """Elsewhere it is sent once over TCP (its ACK goes end to end and may be lost on any hop), or for ever, or a call
    whose ACK never comes hangs with the other side connected.
    """
    between = Between()
    a = between.dial(at=LEFT._replace(transport=transport))
    b = between.called()
    b.reply(b.invite, 200, ANSWER)
    b.expect("ACK")
    between.run(31.8)
    assert since(between.times(LEFT, "200 INVITE")) == CAPPED and not b.heard()
    between.run(0.3)
    for side in (a, b):
        bye = next(message for message in side.hear() if isinstance(message, Request))
        assert bye.method == "BYE"
        side.reply(bye, 200)
    between.over()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_04_a_reinvites_2xx_is_repeated_too(transport: str) -> None:
    """The same of the 2xx that brings an answer back to whoever offered during the call."""
    between = Between()
    a = between.dial(at=LEFT._replace(transport=transport))
    b = between.called()
    b.reply(b.invite, 200, ANSWER)
    a.answered()
    b.expect("ACK")
    a.reinvite(sdp(4002, version=2))
    b.reply(b.request("INVITE"), 200, ANSWER)
    between.run(4.0)
    assert a.heard() == ["100 INVITE", *["200 INVITE"] * 4]
    a.ack()
    between.run(40.0)
    assert not a.heard() and b.heard() == ["ACK"], "the call stands"
    a.ask("BYE")
    b.reply(b.request("BYE"), 200)
    between.over()


def test_05_a_copy_of_an_invite_is_never_a_second_call() -> None:
    """Elsewhere three copies ring three times, with three tags; or one that comes after the 200 makes a new call."""
    between = Between()
    a = Talk(between, LEFT, "again", "a1", "7000")
    branch = new_branch()

    def invite() -> Request:
        return a.ask("INVITE", OFFER, cseq=1, branch=branch)

    a.invite, a.cseq = invite(), 1
    assert a.heard() == ["100 INVITE"]
    invite()
    assert a.heard() == ["100 INVITE"]
    b = between.called()
    b.reply(b.invite, 180)
    ringing = a.response("180 INVITE")
    invite()
    assert a.response("180 INVITE") == ringing
    b.reply(b.invite, 200, ANSWER)
    a.answered()
    invite()
    assert not a.heard(), "RFC 6026: the transaction that was accepted absorbs it"
    assert between.count(RIGHT)["INVITE"] == 1
    a.ask("BYE")
    b.hear()
    between.over()


def test_05_one_that_came_another_way_is_482_and_no_ack_is_ever_answered() -> None:
    """Elsewhere a request that a proxy forked to us twice makes two calls; or a stray ACK gets 481."""
    between = Between()
    a, b = between.ringing()
    to = a.invite.get("to") or ""
    a.ask("INVITE", OFFER, cseq=1, to=to, via="SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK-other-path")
    assert a.heard() == ["482 INVITE"] and between.count(RIGHT)["INVITE"] == 1
    a.ask("ACK", cseq=1, branch=a.invite.via.branch)
    a.ask("ACK", cseq=7)
    Talk(between, LEFT, "nothing", "x", "7000").ask("ACK", b"", "Require: nonsense", max_forwards=0)
    between.receive(b"ACK sip:7000@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\r\n")
    assert not between.hear(LEFT)
    a.cancel()
    b.reply(b.invite, 487)
    between.over()


def test_06_what_is_repeated_slows_down_to_4_s_but_an_invite_doubles_on() -> None:
    """Elsewhere the cap is missing where it belongs (a lost BYE is repeated too seldom) or there where it does not."""
    between = Between()
    between.dial()
    between.run(40.0)
    assert since(between.times(RIGHT, "INVITE")) == DOUBLING  # timer A
    between = Between()
    a, b = between.talking()
    a.ask("BYE")
    between.run(40.0)
    assert since(between.times(RIGHT, "BYE")) == CAPPED  # timer E
    between.over()
    between = Between()
    a, b = between.ringing()
    b.reply(b.invite, 486)
    between.run(40.0)
    assert since(between.times(LEFT, "486 INVITE")) == CAPPED  # timer G
    assert a.heard().count("486 INVITE") == len(CAPPED)
    between.over()


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("MESSAGE", ("Content-Type: text/plain",)),
        ("INFO", ("Content-Type: application/isup",)),
        ("REFER", ("Refer-To: <sip:7001@192.0.2.9>",)),
    ],
)
def test_06_a_request_that_nobody_answers_gets_no_408_and_no_early_100(
    method: str, extra: tuple[str, ...]
) -> None:
    """RFC 4320. Elsewhere a passed request that the far end never answers comes back as 408 when its sender has long
    given up (and takes it for the end of his dialog), or each is met with 100 Trying.
    """
    between = Between()
    a, b = between.talking()
    a.ask(method, b"x", *extra)
    between.run(3.0)
    assert not a.heard() and method in b.heard(), "no 100 within the first seconds"
    between.run(60.0)
    assert "408" not in " ".join(between.count(LEFT)) and not any(
        kind.startswith("100 ") and kind != "100 INVITE" for kind in between.count(LEFT)
    )
    a.hear()
    a.ask("BYE")
    between.over()


@pytest.mark.parametrize("method", ["UPDATE", "MESSAGE", "REFER"])
@pytest.mark.parametrize(("answer", "told"), [(408, 480), (407, 500), (503, 500)])
def test_06_what_only_concerns_one_leg_is_not_handed_to_the_other(
    method: str, answer: int, told: int
) -> None:
    """A proxy on the way says 408 to a passed request, or asks us for a password. Elsewhere that is copied: 408 ends
    the sender's dialog (RFC 4320), a challenge asks him for what he does not have, and for a 503 he leaves us.
    """
    between = Between()
    a = between.dial("7000", OFFER, "Supported: 100rel")
    b = between.called()
    b.reply(b.invite, 183, ANSWER, "Require: 100rel", "RSeq: 2", "Allow: INVITE, PRACK, UPDATE")
    b.reply(b.request("PRACK"), 200)
    a.ask("PRACK", b"", f"RAck: {a.hear()[-1].get('rseq')} 1 INVITE")
    assert a.heard() == ["200 PRACK"]
    if method != "UPDATE":
        b.reply(b.invite, 200)
        a.answered()
        b.hear()
    body = {"UPDATE": sdp(4002, version=2), "MESSAGE": b"x"}.get(method, b"")
    extra = {"MESSAGE": ("Content-Type: text/plain",), "REFER": ("Refer-To: <sip:7001@192.0.2.9>",)}
    a.ask(method, body, *extra.get(method, ()))
    b.reply(b.request(method), answer)
    assert a.heard() == [f"{told} {method}"]


def test_07_the_200_of_a_cancel_is_not_the_invites() -> None:
    """It has the same branch. Elsewhere it is matched by branch alone, and a call that was given up is answered."""
    between = Between()
    a, b = between.ringing()
    a.cancel()
    assert a.heard() == ["200 CANCEL", "487 INVITE"]
    a.ask("ACK", cseq=1, branch=a.invite.via.branch)
    cancel = b.request("CANCEL")
    assert cancel.via.branch == b.invite.via.branch
    b.reply(cancel, 200, ANSWER)
    between.run(1.0)
    assert not b.heard() and not a.heard(), "no ACK, and the CANCEL is not repeated"
    b.reply(b.invite, 487)
    assert b.heard() == ["ACK"]
    between.over()
    assert between.count(LEFT)["200 INVITE"] == 0


# ---------------------------------------------------------------------- transport and NAT


@pytest.mark.parametrize(
    ("via", "port"), [("10.0.0.5:5080;rport", 61_000), ("10.0.0.5:5080", 5080), ("10.0.0.5;rport=1", 61_000)]
)
def test_20_an_answer_goes_back_the_way_its_request_came(via: str, port: int) -> None:
    """Elsewhere it goes to what stands in Via, an address behind a NAT; or leaves by another socket than the request
    came to, and the NAT lets nothing in.
    """
    between = Between()
    other = HERE._replace(port=5070)
    source = LEFT._replace(port=61_000)
    lines = [
        "INVITE sip:7000@192.0.2.9:5070 SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch=z9hG4bK-nat",
        *["Max-Forwards: 70", "From: <sip:1@10.0.0.5>;tag=a1", "To: <sip:7000@192.0.2.9>", "Call-ID: nat"],
        *["CSeq: 1 INVITE", "Contact: <sip:1@10.0.0.5:5080>"],
    ]
    between.receive(whole(lines, (), OFFER), source, other)
    b = between.called()
    b.reply(b.invite, 486)
    trying, busy = between.hear(LEFT)
    for said in (trying, busy):
        assert (said.to, said.by) == (LEFT._replace(port=port), other)
    top = busy.message.via
    assert ";received=192.0.2.1" in str(top) and top.sent_by[0] == "10.0.0.5"
    assert (";rport=61000" in str(top)) is ("rport" in via)


def test_20_on_a_connection_an_answer_goes_by_it_and_if_it_is_gone_by_a_new_one() -> None:
    """Elsewhere an answer over TCP opens a connection of its own at once, or is lost with the one it came by."""
    between = Between()
    source = Address("192.0.2.1", 40_001, "tcp")
    a = Talk(between, LEFT._replace(transport="tcp"), "stream", "a1", "7000")
    a.invite = a.ask("INVITE", OFFER, source=source)
    b = between.called()
    b.reply(b.invite, 180)
    assert [said.to for said in between.hear(LEFT)] == [source, source]
    between.middle.ua.connection_lost(source, HERE._replace(transport="tcp"), between.now)
    b.reply(b.invite, 200, ANSWER)
    (ok,) = between.hear(LEFT)
    assert ok.to == LEFT._replace(transport="tcp") and ok.by.transport == "tcp"


def raw(body: bytes, *more: str) -> bytes:
    """An INVITE that says of its body's length only what `more` says."""
    lines = [
        "INVITE sip:7000@192.0.2.9 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.1;branch={new_branch()}",
        *["Max-Forwards: 70", "From: <sip:1@x>;tag=a1", "To: <sip:7000@x>", f"Call-ID: raw{new_branch()}"],
        *["CSeq: 1 INVITE", "Contact: <sip:1@192.0.2.1>", "Content-Type: application/sdp", *more],
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (raw(OFFER), 100),
        (raw(OFFER + b"and what somebody left in his buffer", f"Content-Length: {len(OFFER)}"), 100),
        (raw(OFFER, f"l : {len(OFFER)}"), 100),
        (b"\r\n\r\n" + raw(OFFER), 100),
        (raw(OFFER, f"Content-Length: {len(OFFER) + 1}"), 400),
        (raw(OFFER, "Content-Length: -1"), 400),
        (raw(OFFER, "Content-Length: 10", "Content-Length: 11"), 400),
        (b"\r\n\r\n", 0),
        (b"\0\0\0\0", 0),
    ],
)
def test_21_where_a_body_ends(data: bytes, status: int) -> None:
    """Elsewhere an INVITE over UDP without Content-Length loses its description, what is left over in the datagram
    becomes part of it, and one that was cut short is dropped without a word.
    """
    between = Between()
    between.receive(data)
    assert [said.message.status for said in between.hear(LEFT)] == ([status] if status else [])  # type: ignore[union-attr]
    offered = [said.message.body for said in between.hear(RIGHT)]
    assert [b"m=audio 4000" in body and b"somebody" not in body for body in offered] == [True] * (
        status == 100
    )


def test_21_on_a_stream_the_length_is_all_there_is() -> None:
    """Elsewhere two messages that come together are one with the other as its body, and a message without a length
    swallows all that follow. A ping between messages is one, and no message.
    """
    framer = Framer()
    one = raw(OFFER, f"Content-Length: {len(OFFER)}")
    framer.receive(b"\r\n\r\n" + one + one)
    assert [framer.next(), framer.next(), framer.next(), framer.next()] == [PING, one, one, None]
    framer.receive(raw(b""))
    with pytest.raises(FramingError):
        framer.next()


def test_22_what_is_too_large_for_a_packet_goes_over_tcp_or_else_by_udp_after_all() -> None:
    """Elsewhere a large INVITE is cut into fragments that a firewall drops, and the call never rings."""
    between = Between()
    large = sdp(more="".join(f"a=x-{number}:{'y' * 60}\r\n" for number in range(20)))
    a = between.dial("7000", large)
    invite = between.hear(RIGHT)[0]
    assert (invite.to.transport, invite.by.transport) == ("tcp", "tcp")
    assert invite.message.via.transport == "TCP" and len(invite.message.to_bytes()) > 1300
    between.middle.ua.transport_failed(invite.to, invite.by, between.now)
    between.run(0.01)
    b = between.called()
    assert b.invite.via.transport == "UDP" and b.invite.body == invite.message.body
    b.reply(b.invite, 200, ANSWER)
    a.answered()
    between.dial("7000", large)
    assert between.hear(RIGHT)[-1].to.transport == "udp", "and is not asked again for a while"


def test_22_what_belongs_together_leaves_in_its_order() -> None:
    """Elsewhere 200 overtakes 180, NOTIFY the 202, or BYE the NOTIFY before it, because each leaves by a task or a
    socket of its own.
    """
    between = Between()
    _, b = between.talking()
    b.ask("REFER", b"", "Refer-To: <sip:7001@192.0.2.9>")
    c = between.called(LEFT)
    asked = b.hear()
    assert [kind_of(message) for message in asked] == ["202 REFER", "NOTIFY"]
    c.reply(c.invite, 180)
    c.reply(c.invite, 200, ANSWER)
    b.reply(asked[-1], 200)
    between.run(40.0)
    said = [
        kind_of(said.message)
        for said in between.said
        if said.to == RIGHT and said.message.call_id == b.call_id
    ]
    first = {kind: said.index(kind) for kind in ("202 REFER", "NOTIFY", "BYE")}
    assert first["202 REFER"] < first["NOTIFY"] < first["BYE"]
    assert len({said.by for said in between.said}) == 1
    between.dial("7002")
    d = between.called()
    between.hear(LEFT)
    d.reply(d.invite, 180)
    d.reply(d.invite, 200, ANSWER)
    assert [kind_of(said.message) for said in between.hear(LEFT)] == ["180 INVITE", "200 INVITE"]


def test_23_hops_are_counted_through_us() -> None:
    """Elsewhere a B2BUA starts at 70 again, and two of them send a call round for ever (RFC 7332)."""
    between = Between()
    for hops, status in ((0, 483), (1, 100), (255, 100)):
        a = Talk(between, LEFT, f"hops-{hops}", "a1", "7000")
        a.ask("INVITE", OFFER, max_forwards=hops)
        assert a.heard() == [f"{status} INVITE"]
        passed = [said.message.get("Max-Forwards") for said in between.hear(RIGHT)]
        assert passed == ([] if hops == 0 else [str(hops - 1)])


def test_23_names_are_read_whatever_their_case() -> None:
    """Elsewhere `call-id` or `transport=TCP` in another case is not known."""
    between = Between()
    lines = [
        "INVITE SIP:7000@192.0.2.9;TRANSPORT=UDP SIP/2.0",
        "v: SIP/2.0/udp 192.0.2.1:5060;BRANCH=z9hG4bK-case;RPort",
        *["MAX-forwards: 9", "f: <SIP:1@192.0.2.1>;TAG=a1", "t: <sip:7000@x>", "i: case", "cSEQ: 1 INVITE"],
        *["m: <sip:me@192.0.2.1:5061;Transport=TCP>", "c: Application/SDP", "k: TIMER,100REL"],
    ]
    between.receive(
        whole(lines, ("content-TYPE: application/sdp",), OFFER).replace(b"c: Application/SDP\r\n", b"")
    )
    b = between.called()
    assert b.invite.get("max-forwards") == "8" and b.invite.body
    b.reply(b.invite, 200, ANSWER)
    ok = between.hear(LEFT)[-1].message
    assert isinstance(ok, Response) and ok.status == 200
    a = Talk(between, LEFT, "case", "a1", "7000")
    a.local, a.remote, a.cseq = "<SIP:1@192.0.2.1>;TAG=a1", ok.get("to") or "", 1
    a.ask("ACK")
    b.ask("BYE", b"", cseq=1)
    (bye,) = (said for said in between.hear(LEFT) if isinstance(said.message, Request))
    assert bye.to == Address(LEFT.host, 5061, "tcp")


SECOND = Address("192.0.2.4", 5060)


@pytest.mark.parametrize("first", ["is silent", "says 503", "is not there"])
def test_24_of_several_addresses_the_next_is_tried(first: str) -> None:
    """Elsewhere only the first is ever called, or a caller waits 32 s for a dead one; and who wakes up late is answered
    by nobody.
    """
    between = Between()
    between.middle.switchboard.locate = lambda peer: (RIGHT, SECOND)
    a = between.dial()
    b = between.called()
    if first == "says 503":
        b.reply(b.invite, 503)
    elif first == "is not there":
        between.middle.ua.transport_failed(RIGHT, HERE, between.now)
        between.run(0.01)
    else:
        between.run(4.1)
    assert between.said[-1].to == SECOND and between.said[-1].at < 4.2
    c = between.called(SECOND)
    c.reply(c.invite, 200, ANSWER)
    a.answered()
    assert c.heard() == ["ACK"] and c.call_id == b.call_id
    if first == "is silent":
        b.hear()
        b.reply(b.invite, 200, ANSWER)
        assert b.heard() == ["ACK", "BYE"]
    between.middle.switchboard.locate = lambda peer: (RIGHT, SECOND)
    a.ask("BYE")
    c.reply(c.request("BYE"), 200)
    between.over()


def test_24_who_says_what_of_himself_holds_everywhere_and_whose_certificate_it_is_counts() -> None:
    """Elsewhere a 486 rings the next address; a certificate of anybody, or a wildcard, opens TLS (RFC 5922)."""
    between = Between()
    between.middle.switchboard.locate = lambda peer: (RIGHT, SECOND)
    a = between.dial()
    b = between.called()
    b.reply(b.invite, 486)
    assert a.heard() == ["486 INVITE"] and not between.hear(SECOND)
    assert "pbx.example.org" not in identities({"subjectAltName": [("DNS", "*.example.org")]})
    assert "pbx.example.org" not in identities({"subject": ((("commonName", "pbx.example.org"),),)})
    domain = {"subjectAltName": [("URI", "sip:example.org"), ("DNS", "pbx.example.org")]}
    assert identities(domain) == {"example.org"}


# ---------------------------------------------------------------------- who is who


def fields(message: Message, name: str) -> dict[str, str]:
    """The parameters of a Digest header, as they stand."""
    text = (message.get(name) or "").removeprefix("Digest ")
    return dict(re.findall(r"(\w+)=(\"[^\"]*\"|[^\s,]+)", text))


def response_to(given: dict[str, str], method: str, hashed: Callable[[bytes], Any], user: str = "qm") -> str:
    """RFC 7616 3.4.1, by hand."""

    def h(*parts: str) -> str:
        return str(hashed(":".join(parts).encode()).hexdigest())

    bare = {key: value.strip('"') for key, value in given.items()}
    a1, a2 = h(user, bare["realm"], PASSWORD), h(method, bare["uri"])
    return h(a1, bare["nonce"], bare["nc"], bare["cnonce"], bare["qop"], a2)


def test_25_the_topmost_algorithm_that_we_know_answers_in_the_same_call() -> None:
    """Elsewhere only the first challenge is read, `qop` goes back in quotes, Call-ID or tag are new, CSeq is not."""
    between = Between()
    a = between.dial("3000")
    b = between.called(OUTSIDE)
    offered = [CHALLENGE.format("n1", algorithm) for algorithm in ("SHA-3", "SHA-256", "MD5")]
    b.reply(b.invite, 407, b"", *offered)
    ack, again = b.hear()
    assert kind_of(ack) == "ACK" and isinstance(again, Request)
    given = fields(again, "proxy-authorization")
    assert (given["algorithm"], given["qop"], given["nc"]) == ("SHA-256", "auth", "00000001")
    assert given["response"] == f'"{response_to(given, "INVITE", hashlib.sha256)}"'
    assert (
        again.call_id == b.invite.call_id and again.from_.tag == b.invite.from_.tag and again.to.tag is None
    )
    assert again.cseq.number == b.invite.cseq.number + 1 and again.via.branch != b.invite.via.branch
    assert again.body == b.invite.body and not a.heard(), "the caller hears nothing of it"


def test_25_401_and_407_stale_and_a_wrong_password() -> None:
    """Elsewhere one of the two is forgotten when the other is answered, stale ends the call, or a wrong password is
    sent for ever until the account is locked.
    """
    between = Between()
    a = between.dial("3000")
    b = between.called(OUTSIDE)
    www = CHALLENGE.replace("Proxy-Authenticate", "WWW-Authenticate").replace('"out"', '"desk"')
    steps = [
        (407, CHALLENGE.format("n1", "MD5")),
        (401, www.format("m1", "MD5")),
        (407, CHALLENGE.format("n2", "MD5") + ", stale=TRUE"),
    ]
    for status, line in steps:
        b.reply(b.invite, status, b"", line)
        b.is_called(b.hear()[-1])  # type: ignore[arg-type]
    assert fields(b.invite, "authorization")["nonce"] == '"m1"'
    assert fields(b.invite, "proxy-authorization")["nonce"] == '"n2"'
    b.reply(b.invite, 407, b"", CHALLENGE.format("n3", "MD5"))
    assert b.heard() == ["ACK"], "once for each nonce, and no more"
    assert a.heard() == ["500 INVITE"], "what is asked of us is not asked of the caller"
    a.ack()
    between.over()


@pytest.mark.parametrize("method", ["INVITE", "BYE", "REFER"])
def test_25_in_the_call_too(method: str) -> None:
    """Elsewhere a challenge to a re-INVITE ends the call, and one to a BYE leaves it up for ever."""
    between = Between()
    a, b = between.talking("3000", to=OUTSIDE)
    if method == "INVITE":
        a.reinvite(sdp(4002, version=2))
    else:
        a.ask(method, b"", *(("Refer-To: <sip:3001@192.0.2.9>",) if method == "REFER" else ()))
    asked = b.request(method)
    b.reply(asked, 407, b"", CHALLENGE.format("n1", "MD5"))
    again = b.hear()[-1]
    assert isinstance(again, Request) and again.method == method
    assert again.cseq.number == asked.cseq.number + 1 and again.to.tag == "b1"
    given = fields(again, "proxy-authorization")
    assert given["response"] == f'"{response_to(given, method, hashlib.md5)}"'
    status = 202 if method == "REFER" else 200
    b.reply(again, status, ANSWER if method == "INVITE" else b"")
    assert a.heard()[-1] == f"{status} {method}"


@pytest.fixture
def locked(tmp_path: Path) -> Between:
    """Whoever calls from the left shows a password."""
    (tmp_path / "alice").write_text(PASSWORD + "\n")
    shows = (
        f'auth = "digest"\nauth_in_dialog = true\nrealm = "here"\nusers = {{ alice = "{tmp_path}/alice" }}\n'
    )
    return Between(("[peers.right]", f"{shows}[peers.right]"))


def login(challenge: Message, method: str, uri: str, nc: int) -> str:
    """What a phone answers to our MD5 challenge."""
    (text,) = (line for line in challenge.all("www-authenticate") if "MD5" in line)
    asked = dict(re.findall(r"(\w+)=\"([^\"]*)\"", text))
    given = {**asked, "qop": "auth", "uri": uri, "nc": f"{nc:08x}", "cnonce": "abc"}
    made = response_to(given, method, hashlib.md5, "alice")
    quoted = {key: asked[key] for key in ("realm", "nonce", "opaque")}
    quoted |= {"username": "alice", "uri": uri, "response": made, "cnonce": "abc"}
    said = [
        *(f'{key}="{value}"' for key, value in quoted.items()),
        "algorithm=MD5",
        "qop=auth",
        f"nc={nc:08x}",
    ]
    return f"Authorization: Digest {', '.join(said)}"


def test_25_here_too_a_nonce_ages_and_a_count_is_spent_once(locked: Between) -> None:
    """Elsewhere what somebody has overheard can be sent again, for a day, by anybody."""
    a = Talk(locked, LEFT, "one", "a1", "7000")
    a.ask("INVITE", OFFER)
    first = a.response("401 INVITE")
    a.invite = a.ask("INVITE", OFFER, login(first, "INVITE", a.target, 1))
    assert a.heard() == ["100 INVITE"]
    b = locked.called()
    thief = Talk(locked, LEFT, "two", "t1", "7000")
    thief.ask("INVITE", OFFER, login(first, "INVITE", thief.target, 1))
    assert thief.heard() == ["401 INVITE"], "its count is spent"
    b.reply(b.invite, 200, ANSWER)
    a.answered()
    bye = login(first, "BYE", "sip:qm@192.0.2.9:5060", 2)
    a.ask("BYE")
    assert a.heard() == ["401 BYE"]
    a.ask("BYE", b"", bye)
    assert a.heard() == ["200 BYE"]
    locked.run(400.0)
    a = Talk(locked, LEFT, "three", "a1", "7000")
    a.ask("INVITE", OFFER, login(first, "INVITE", a.target, 3))
    old = a.response("401 INVITE")
    assert "stale=true" in (old.get("www-authenticate") or "")
