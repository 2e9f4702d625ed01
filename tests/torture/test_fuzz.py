"""Whatever a stranger sends: one exception type, little time, never an exception out of the user agent."""

from __future__ import annotations

import contextlib
import functools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import MAX_BYTES, Message, parse
from qm_sip.sip.sdp import Sdp, SdpError, answer, keep_formats, rewrite_origin, with_media
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from qm_sip.sip.validate import check
from tests.sip.network import SDP, request
from tests.support.cost import cpu, slowness, within
from tests.torture.messages import MESSAGES

US, PEER = Address("192.0.2.2", 5060), Address("192.0.2.1", 5060)
SPECIAL = [
    b'"',
    b"<",
    b">",
    b";",
    b",",
    b"\r\n",
    b"\r\n ",
    b"\r",
    b"\n",
    b"\0",
    b"\\",
    b"@",
    b":",
    b"%",
    b"=",
    b"\xff",
    b"[",
    b"9" * 20,
]
SEEDS = [*MESSAGES.values(), request(body=SDP), request("ACK", to_tag="x"), request("CANCEL")]
SECONDS = 0.050


def read_all(data: bytes) -> None:
    try:
        message: Message = parse(data)
        check(message)  # type: ignore[arg-type]
        _ = message.contacts, message.record_route, message.max_forwards, message.values("require")
        assert parse(message.to_bytes()) == message
    except SipParseError as error:
        assert 400 <= error.status < 700


def mutate(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at, to = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        data = rng.choice(
            [
                lambda at=at, data=data: data[:at] + rng.choice(SPECIAL) + data[at:],
                lambda at=at, data=data: data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
                lambda at=at, to=to, data=data: data[:at] + data[min(to, at + 40) :],
                lambda at=at, to=to, data=data: data[:to] + data[at : min(to, at + 60)] * 3 + data[to:],
                lambda at=at, data=data: data[:at],
            ]
        )()
    return data


@pytest.mark.parametrize("seed", range(10))
def test_mutated_messages(seed: int) -> None:
    rng = random.Random(seed)
    ua = UserAgent(UserAgentSettings(), random.Random(seed), lambda request, source: None)
    slowest = 0.0
    for round_ in range(600):
        data = mutate(rng, rng.choice(SEEDS))
        within(SECONDS, functools.partial(read_all, data))
        took = cpu(functools.partial(ua.receive, data, PEER, US, round_ * 0.05))
        slowest = max(slowest, took)
        assert len(ua.take_datagrams()) <= 3
        ua.take_events()
        ua.advance(round_ * 0.05)
    assert ua.counts["received"] == 600 and slowest < SECONDS * slowness()


@pytest.mark.parametrize("seed", range(5))
def test_mutated_sdp(seed: int) -> None:
    rng = random.Random(seed)
    more = "a=rtcp:4001 IN IP4 192.0.2.1|a=fmtp:101 0-16|a=sendonly|m=image 5000 udptl t38|"
    more += "m=application 9 TCP/BFCP *|"
    base = SDP + more.replace("|", "\r\n").encode()
    read = 0
    for _ in range(1_000):
        data = mutate(rng, base)
        with contextlib.suppress(SdpError):
            within(SECONDS, functools.partial(edit_all, data))
            read += 1
    assert read > 100


def edit_all(data: bytes) -> None:
    """Every edit a call makes; what comes out can be read again and has as many streams."""
    sdp = Sdp.parse(data)
    assert sdp.to_bytes().rstrip(b"\r\n") == data.rstrip(b"\r\n")
    edited = with_media(keep_formats(rewrite_origin(sdp, 1, 2, "192.0.2.9")), "192.0.2.9", 6000, 6001)
    assert len(Sdp.parse(edited.to_bytes()).media) == len(sdp.media)
    assert len(Sdp.parse(answer(sdp, 1, 1, "192.0.2.9", 6000).to_bytes()).media) == len(sdp.media)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes(data: bytes) -> None:
    within(SECONDS, lambda: read_all(data))
    ua = UserAgent(UserAgentSettings(), random.Random(1), lambda request, source: None)
    ua.receive(data, PEER, US, 0.0)
    with_head = b"INVITE sip:a@b SIP/2.0\r\n" + data
    within(SECONDS, lambda: read_all(with_head))
    ua.receive(with_head, PEER, US, 0.0)
    with contextlib.suppress(SdpError):
        Sdp.parse(b"v=0\r\n" + data)


@pytest.mark.parametrize(
    "header",
    [
        'Authorization: Digest a="b"' + ',a="b"' * 8_000 + "{",
        'Contact: "' + '\\"' * 30_000,
        "Contact: " + "<" * 60_000,
        "Contact: " + "<sip:a@b>," * 6_000,
        "Via: " + ";" * 60_000,
        "X: " + "\r\n " * 20_000,
        "To: " + '"a" ' * 15_000 + "<sip:a@b>",
        "Route: " + "<sip:a;" + ";lr=" * 14_000 + ">",
        "A:" + "\r\nA:" * 15_000,
    ],
    ids=["digest", "escapes", "brackets", "contacts", "semicolons", "folds", "quotes", "params", "headers"],
)
def test_the_largest_message_of_one_nasty_kind_is_read_in_time(header: str) -> None:
    data = request(body=SDP).replace(b"Max-Forwards: 70", header.encode())
    assert len(data) <= MAX_BYTES

    def read() -> None:
        with contextlib.suppress(SipParseError):
            message = parse(data)
            check(message)
            _ = message.contacts, message.values("route"), message.values("x")

    within(4 * SECONDS, read)  # 64 KiB; a usual message is a hundredth of it


def test_limits() -> None:
    for data, problem in (
        (request(extra=("X: " + "y" * MAX_BYTES,)), "64 KiB"),
        (request(extra=("X: y",) * 300), "256"),
        (request(extra=("Via: SIP/2.0/UDP a;branch=z9hG4bK1",) * 80), "64 Via|Via"),
    ):
        with pytest.raises(SipParseError, match=problem):
            parse(data)
