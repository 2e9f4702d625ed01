"""Peers that say what cannot be read, or what cannot be true: the call it is about may end, nothing else may happen.

Whole calls in the simulated world, in which messages to us are spoilt on their way: a header with a quote that does not
end, a description of another kind, a line that is missing. Nothing may be raised, and when all is over nobody may be
left: not a leg, not a call, not a row without an outcome.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from qm_sip.call.call import Call
from qm_sip.call.states import State
from qm_sip.call.words import FinishRow, ForgetCall, OpenRow
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip import events as sip
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, Response, header, parse
from qm_sip.sip.sdp import Direction
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.call.test_journeys import answering, ended, kept
from tests.call.world import SDP, Phone, World

HISTORIES, BATCHES = 240, 8


def words(text: str) -> list[str]:
    return text.split()


VALUES = words(
    '" "x < <sip: <> ; , ,, = sip: % x"y <sip:a@b "a"<sip:1@2>;tag=" -1 99999999999 0 * \\ é a;b="c'
)
VALUES += ["<sip:x@[::1>", "timer;", '100rel,"', "1 2", "x" * 300]
NAMES = words("""
    Accept Allow Allow-Events Call-ID Contact Content-Disposition Content-Encoding Content-Length Content-Type CSeq
    Date Diversion Event Expires From Geolocation History-Info Identity Info-Package Join Max-Forwards Min-SE
    P-Asserted-Identity Privacy Proxy-Authenticate RAck Reason Record-Route Recv-Info Refer-Sub Refer-To Referred-By
    Remote-Party-ID Replaces Request-Disposition Require Retry-After RSeq Session-Expires Session-ID
    Subscription-State Supported Target-Dialog To User-to-User Warning WWW-Authenticate X-QM-Call X-QM-Line
    X-QM-Receipt
""")


def described(*media: str, address: str = "IN IP4 192.0.2.4") -> bytes:
    """A session description with these m-sections."""
    head = ["v=0", "o=- 1 7 IN IP4 192.0.2.4", "s=-", f"c={address}" if address else "b=AS:64", "t=0 0"]
    return "\r\n".join([*head, *media, ""]).encode()


G729 = "m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000"
PCMA = "m=audio 4000 RTP/AVP 8"
UNUSABLE = {
    "turned off": described("m=audio 0 RTP/AVP 8"),
    "another codec": described(G729),
    "no audio": described("m=video 4000 RTP/AVP 96"),
    "encrypted": described("m=audio 4000 RTP/SAVP 8"),
    "a name": described(PCMA, address="IN IP4 phone.example"),
    "nowhere": described(PCMA, address=""),
    "to many": described(PCMA, address="IN IP4 224.0.1.75/127"),
    "to all": described(PCMA, address="IN IP4 255.255.255.255"),
    "not readable": b"\xff\xfe\0",
}
BODIES = [
    *UNUSABLE.values(),
    b"",
    described("m=audio 65535 RTP/AVP 8"),
    described("m=audio 1 RTP/AVP 8\r\na=rtcp:0\r\na=ptime:9999"),
    described(PCMA, address="IN IP6 ::1"),
    described(*["m=audio 0 RTP/AVP 8"] * 30, PCMA),
    described("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMA/8000\r\na=rtpmap:96 PCMU/8000"),
]


def with_body(message: Request | Response, body: bytes) -> None:
    kept = [h for h in message.headers if h.key not in ("content-length", "content-type")]
    said = [header("Content-Type", "application/sdp"), header("Content-Length", str(len(body)))]
    message.headers, message.body = (*kept, *said), body


def spoilt(rng: random.Random, data: bytes) -> bytes:
    """The same message with one thing in it that is wrong."""
    try:
        message = parse(data)
    except SipParseError:
        return data
    kind, headers = rng.random(), list(message.headers)
    if kind < 0.55:
        name = rng.choice(NAMES)
        before = message.get(name) or "" if rng.random() < 0.2 else ""
        if rng.random() < 0.7:
            headers = [h for h in headers if h.key != name.lower()]
        message.headers = (*headers, header(name, before + rng.choice(VALUES)))
    elif kind < 0.85:
        with_body(message, rng.choice(BODIES))
    else:
        del headers[rng.randrange(len(headers))]
        message.headers = tuple(headers)
    return message.to_bytes()


class Hostile(World):
    """A world in which so many of the messages to us are spoilt."""

    def __init__(self, seed: int, rate: float, **more: Any) -> None:
        super().__init__(seed, **more)
        self.rate, self._spoils = rate, random.Random(seed * 7 + 1)

    def _deliver(self, receiver: UserAgent, datagram: sip.Datagram) -> None:
        data = datagram.data
        if receiver is self.ua and self._spoils.random() < self.rate:
            data = spoilt(self._spoils, data)
        receiver.receive(data, datagram.local, datagram.destination, self.now)


def one_history(seed: int) -> Hostile:
    rng = random.Random(seed)
    world = Hostile(seed, rng.choice([0.15, 0.3, 0.6]), refer=rng.choice(["here", "pass", "refuse"]))
    world.on_ringing = lambda phone: world.later(0.1, lambda: _ring(world, rng, phone))
    number = rng.choice(["1001", "1001", "1900", "0201234567"])
    line = rng.choice(["", "sales", "support", "outbound", "waiting"])
    world.dial(number, line=line, body=None if rng.random() < 0.2 else b"")
    world.run(1.5)
    for _ in range(6):
        if there := [phone for phone in world.phones if not phone.gone]:
            rng.choice(ACTS)(world, rng, rng.choice(there))
            world.run(rng.choice([0.3, 0.6]))
    for phone in [phone for phone in world.phones if not phone.gone]:
        world.hang_up(phone)
    world.run(0.5)
    world.settle()
    return world


def _ring(world: World, rng: random.Random, phone: Phone) -> None:
    if phone.gone:
        return
    if rng.random() < 0.5:
        body = phone.sdp() if rng.random() < 0.5 else None
        world.pbx.provisional(phone.leg, 183, body=body, headers=[SDP], now=world.now)
    world.later(0.2, lambda: None if phone.gone or phone.up else world.answer(phone))


Act = Callable[[World, random.Random, Phone], object]
ACTS: list[Act] = [
    lambda world, rng, phone: world.hold(phone, rng.choice(list(Direction))),
    lambda world, rng, phone: world.becomes(phone, rng.choice(["1002", "0612345678", "1900", "1003"])),
    lambda world, rng, phone: world.refer(phone, rng.choice(["1002", "1003", "1900", "0612345679"])),
    lambda world, rng, phone: world.pbx.reoffer(phone.leg, None, now=world.now),
    lambda world, rng, phone: world.press(phone, rng.choice(["*1", "9", "99"])),
    lambda world, rng, phone: world.dial("1002", aside=True),
    lambda world, rng, phone: world.pbx.request(
        phone.leg, "INFO", [("Content-Type", "application/dtmf-relay")], b"Signal=9\r\n", now=world.now
    ),
    lambda world, rng, phone: world.pbx.request(
        phone.leg, "MESSAGE", [("Content-Type", "text/plain")], b"hello", now=world.now
    ),
]


@pytest.mark.parametrize("batch", range(BATCHES))
def test_whatever_is_spoilt_nothing_is_raised_and_nobody_is_left(batch: int) -> None:
    for seed in range(batch, HISTORIES, BATCHES):
        world = one_history(seed)
        board = world.switchboard
        left = (len(board.calls), board.legs_known, len(board.services), world.ua.legs)
        assert left == (0, 0, 0, 0), f"seed {seed}"
        opened = {word.facts.call for word in world.keeper.said(OpenRow)}
        closed = {word.call for word in (*world.keeper.said(FinishRow), *world.keeper.said(ForgetCall))}
        assert opened == closed, f"seed {seed}"


# --------------------------------------------------------------------------- lists that do not end


@pytest.mark.parametrize("name", ["Supported", "Require", "Accept", "Request-Disposition"])
def test_a_list_whose_quotes_do_not_end_is_refused_at_the_door(name: str) -> None:
    """Some are read only when the call is answered: too late to say so, and its leg would never be over."""
    world = World()
    answering(world)
    world.dial("1001", line="sales", more=[(name, '100rel, "timer')])
    world.run(1.0)
    assert world.rejected == [400] and not world.offered
    ended(world)


# --------------------------------------------------------------------------- descriptions that cannot be used


def late_answer(world: World, body: bytes, *, line: str) -> Phone:
    """A caller who makes no offer, and whose ACK says this."""
    answering(world)
    customer = world.dial("1001", line=line, body=None)
    customer.late = False
    world.on_answered = lambda _: world.pbx.ack(customer.leg, body, now=world.now)
    world.run(3.0)
    return customer


@pytest.mark.parametrize("line", ["sales", "support"])
@pytest.mark.parametrize("body", [*UNUSABLE.values(), b""], ids=[*UNUSABLE, "nothing"])
def test_a_late_answer_that_cannot_be_used_ends_the_call(line: str, body: bytes) -> None:
    """Nobody would hear him, nor he anybody; and what came later would stumble over it."""
    world = World()
    customer = late_answer(world, body, line=line)
    assert customer.gone and (world.agent is None or world.agent.gone)
    ended(world)
    assert world.outcomes()[0].outcome is not Outcome.RECORDED


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
def test_an_answer_to_our_own_offer_that_cannot_be_used_changes_nothing(body: bytes) -> None:
    """A refresh of the session, or an indication of recording, is answered with something else: what stood stands, and
    the agent can make the call private all the same.
    """
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales", aware=True)
    world.run(3.0)
    agent, (call,) = world.agent, world.switchboard
    assert agent is not None and call.state is State.TALKING
    world._answer_offer = lambda phone, _: world.pbx.answer_offer(  # type: ignore[method-assign]
        phone.leg, body, headers=[SDP], now=world.now
    )
    assert call.exchange.indicate("caller", world.now)
    world.run(0.5)
    del world._answer_offer  # type: ignore[method-assign]
    world.press(agent, "*1")
    world.run(2.0)
    assert (customer.target, agent.target) == ((agent.host, agent.port), (customer.host, customer.port))
    world.hang_up(customer)
    world.run(0.3)
    ended(world)
    assert world.outcomes()[0].spans[-1].state is SpanState.PRIVATE


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
def test_an_offer_that_cannot_be_relayed_is_refused_and_the_call_goes_on(body: bytes) -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    world.pbx.reoffer(customer.leg, body, headers=[SDP], now=world.now)
    world.run(0.5)
    assert customer.offers_refused == [488] and not customer.gone
    world.hang_up(customer)
    world.run(0.3)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


@pytest.mark.parametrize("kind", ["a name", "to many", "to all", "nowhere"])
def test_audio_goes_to_one_host_told_by_its_number_or_nowhere(kind: str) -> None:
    """We are nobody's loudspeaker: such a call goes on without us, and the row says why."""
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales", body=UNUSABLE[kind])
    world.run(2.0)
    assert not world.engine.asked(protocol.SetRemote)
    world.hang_up(customer)
    ended(world)
    (row,) = world.outcomes()
    assert (row.outcome, [reason.code for reason in row.reasons]) == (Outcome.BLOCKED, ["media-address"])


def test_the_last_port_has_no_next_one() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales", body=described("m=audio 65535 RTP/AVP 8"))
    world.run(2.0)
    (told,) = [at for at in world.engine.asked(protocol.SetRemote) if at.leg == "caller"]
    assert (told.port, told.rtcp_port) == (65535, 65535)
    assert world.switchboard.calls
    world.hang_up(customer)
    ended(world)


def test_who_turns_confidential_while_he_is_told_is_connected_in_whatever_codec_they_agree_on() -> None:
    """The agent's phone is offered what the caller has, and takes one that we could not record: it need not be."""
    world = World()
    body = described(G729.replace("RTP/AVP 18", "RTP/AVP 8 18"), address="IN IP4 127.0.0.20")
    world.on_ringing = lambda phone: world.later(
        0.2, lambda: world.pbx.answer(phone.leg, described(G729), headers=[SDP], now=world.now)
    )
    customer = world.dial("1001", line="support", body=body)
    world.run(0.2)
    world.becomes(customer, "1900")
    world.run(2.0)
    agent, (call,) = world.agent, world.switchboard
    assert agent is not None and call.state is State.TALKING and call.unsaid
    assert customer.target == ("192.0.2.4", 4000)
    assert customer.offers_refused == [] and agent.target == ("127.0.0.20", 4000)
    world.hang_up(customer)
    ended(world)
    assert world.outcomes() == []


# --------------------------------------------------------------------------- a flood of answers, and faults of our own


def test_of_the_ends_that_ring_no_more_are_looked_at_than_can_be_told_apart() -> None:
    world = World()
    world.pbx = UserAgent(UserAgentSettings(max_forks=200), random.Random(9), lambda request, source: None)

    def ring(phone: Phone) -> None:
        for number in range(60):
            body = described(f"m=audio {4000 + number} RTP/AVP 8")
            world.pbx.provisional(phone.leg, 183, headers=[SDP], body=body, anew=True, now=world.now)

    world.on_ringing = ring
    customer = world.dial("2222")
    world.run(1.0)
    (call,) = world.switchboard
    assert len(call.early._said) == UserAgentSettings().max_forks
    world.hang_up(customer)
    ended(world)


@pytest.mark.parametrize("where", ["on the way", "from the engine"])
def test_a_fault_of_ours_ends_what_is_kept_and_not_the_call(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be judged any more is not kept (I4); the two go on talking (I9), and the row says why."""
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    (call,) = world.switchboard
    agent, recording = world.agent, call.recording
    assert agent is not None and recording is not None and recording.kept

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(call.who), "is_there", fails)
    monkeypatch.setattr(type(call.keypad), "matched", fails)
    with pytest.raises(ZeroDivisionError):
        if where == "on the way":
            world.becomes(agent, "1900")
        else:
            world.press(customer, "*9")
        world.run(0.5)
    monkeypatch.undo()
    since = world.now
    heard = len(customer.heard)
    world.run(0.5)
    assert len(customer.heard) > heard + 10 and not recording.kept
    world.hang_up(customer)
    world.run(0.3)
    ended(world)
    assert not [at for _, at in kept(world) if at > since]
    (row,) = world.outcomes()
    assert row.spans[-1].state is SpanState.FAILED and "server-fault" in [
        reason.code for reason in row.reasons
    ]


class Blind:
    """Somebody who looks on, and cannot."""

    def look(self, call: Call, now: float) -> None:
        raise ZeroDivisionError


def test_whoever_looks_on_costs_a_call_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.switchboard.onlooker = Blind()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    world.hang_up(customer)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED
    assert "showing what a call looks like failed" in caplog.text
