"""What is kept of which call: driven by whole calls through the real user agent and switchboard."""

from __future__ import annotations

import random

import pytest

from qm_sip.sip.events import Address
from qm_sip.trace.ladder import rows
from qm_sip.trace.store import Trace
from qm_sip.trace.tap import call_id_of, without_words
from tests.call.test_journeys import answering
from tests.call.world import PBX, QM
from tests.trace.world import TracedWorld, talking


def said(trace: Trace, leg: str) -> list[str]:
    return [f"{row['way']} {row['what']}" for row in rows(trace, ()) if row["leg"] == leg]


def everything(world: TracedWorld) -> bytes:
    """All that the store holds, as bytes."""
    traces = [*world.store.calls.values(), *world.store.attempts.values()]
    return b"".join(line.data or repr(line.bare).encode() for trace in traces for line in trace)


def test_both_legs_of_a_call_are_one_trace_in_the_order_in_which_it_happened() -> None:
    world = TracedWorld()
    trace = talking(world)
    world.hang_up(world.caller)
    world.run(1.0)
    caller, callee = said(trace, "caller"), said(trace, "callee")
    assert caller[:2] == ["in INVITE", "out 100 Trying"] and caller[-2:] == ["in BYE", "out 200 OK"]
    assert callee[0] == "out INVITE" and callee[-2:] == ["out BYE", "in 200 OK"]
    assert "in ACK" in caller and "out ACK" in callee
    times = [line.at for line in trace]
    assert times == sorted(times)
    world.swept()
    assert trace.over and trace.id in world.store.calls


def test_copies_are_marked() -> None:
    world = TracedWorld()
    world.unreachable = True
    world.dial("1001", line="sales")
    world.run(4.0)
    (trace,) = world.swept()
    invites = [r for r in rows(trace, ()) if r["what"] == "INVITE" and r["way"] == "out"]
    assert [row["again"] for row in invites] == [False] + [True] * (len(invites) - 1)
    assert len(invites) > 2


@pytest.mark.parametrize("number", ["1900", "112"])
def test_of_a_confidential_or_emergency_call_nothing_is_ever_kept(number: str) -> None:
    world = TracedWorld()
    answering(world)
    world.dial(number)
    for _ in range(200):
        world.run(0.02)
        assert not world.swept() and not world.store.attempts and not world.store.bytes
    world.hang_up(world.caller)
    world.run(40.0)
    assert not world.swept() and not world.store.attempts and not world.store._by_call_id
    assert world.tap.strangers == 0


def test_what_was_kept_is_gone_in_the_instant_in_which_a_call_turns_confidential() -> None:
    world = TracedWorld()
    trace = talking(world)
    assert world.agent is not None and trace.bytes
    world.becomes(world.agent, "1900")
    world.run(0.05)
    assert trace.dropped and not list(trace)
    assert not world.store.calls and not everything(world)
    world.hang_up(world.caller)
    world.run(40.0)
    assert not world.swept() and not everything(world)


def test_the_next_message_of_a_call_that_turned_confidential_finds_nothing_even_if_nobody_said_so() -> None:
    world = TracedWorld()
    world.switchboard.on_unsaid = lambda call: None
    trace = talking(world)
    assert world.agent is not None
    world.becomes(world.agent, "1900")
    world.run(0.05)
    assert trace.dropped and not world.store.calls


def test_a_second_call_of_the_same_call_id_that_is_confidential_is_not_kept_under_the_first() -> None:
    world = TracedWorld()
    trace = talking(world)
    before = trace.count
    invite = next(
        line.data for line in trace if line.data and line.data.startswith(b"INVITE") and line.inbound
    )
    other = invite.replace(b"INVITE sip:1001@", b"INVITE sip:1900@").replace(b"tag=", b"tag=x")
    other = other.replace(b"branch=z9hG4bK", b"branch=z9hG4bKx")
    world.tap.heard(other, PBX, QM, world.now)
    world.ua.receive(other, PBX, QM, world.now)
    world.run(2.0)
    assert world.store.calls == {trace.id: trace}
    assert b"1900" not in everything(world)
    world.run(40.0)  # its legs are gone; a copy comes late
    world.tap.heard(other, PBX, QM, world.now)
    world.tap.heard(b"BYE sip:x SIP/2.0\r\n" + other.split(b"\r\n", 1)[1], PBX, QM, world.now)
    world.tap.settle()
    kept = [line.data for line in trace][before:]
    assert not [data for data in kept if data and b"tag=x" in data]


def test_a_private_call_is_a_bare_ladder_from_its_beginning() -> None:
    world = TracedWorld()
    trace = talking(world)
    assert world.agent is not None
    assert any(line.data for line in trace)
    world.press(world.agent, "*1")
    world.run(3.0)
    world.swept()
    assert trace.private and not [line for line in trace if line.data is not None]
    assert {line.peer.host for line in trace} == {"0.0.0.0"}
    assert said(trace, "caller")[0] == "in INVITE"
    world.hang_up(world.caller)
    world.run(1.0)
    assert said(trace, "caller")[-2:] == ["in BYE", "out 200 OK"]
    assert not [row for row in rows(trace, ()) if row["sdp"]]


def test_a_call_made_private_beforehand_is_bare() -> None:
    world = TracedWorld()
    answering(world)
    prefix = world.config.lines.private.prefix
    world.dial(f"{prefix}0201234567", caller="1001")
    world.run(2.0)
    for trace in world.swept():
        assert trace.private and not [line for line in trace if line.data is not None]
    assert not world.store.attempts


def test_a_one_leg_call_is_not_traced() -> None:
    world = TracedWorld()
    code = next(iter(world.config.index.features))
    world.dial(code, caller="1001")
    world.run(0.1)
    assert world.switchboard.services
    world.run(3.0)
    assert not world.swept() and not world.store.attempts


def test_an_invite_that_becomes_no_call_is_kept_with_its_answer() -> None:
    world = TracedWorld()
    world.dial("1001", line="sales", body=b"v=0\r\nnonsense\r\n")
    world.run(1.0)
    assert not world.swept()
    (attempt,) = world.store.attempts.values()
    assert said(attempt, "caller")[-1] == "in ACK"
    assert "out 488 Not Acceptable Here" in said(attempt, "caller")


@pytest.mark.parametrize("number", ["1900", "112"])
def test_an_attempt_at_a_number_of_never_is_not_kept(number: str) -> None:
    world = TracedWorld()
    world.ua.reject_new(503)
    world.dial(number)
    world.run(1.0)
    assert world.rejected == [503]
    assert not world.store.attempts and not world.store.bytes


@pytest.mark.parametrize("name", ["Diversion", "History-Info", "Referred-By", "P-Asserted-Identity"])
def test_nor_one_that_names_such_a_number_anywhere(name: str) -> None:
    world = TracedWorld()
    world.ua.reject_new(503)
    world.dial(
        "1001", line="sales", more=[(name, '"Somebody" <sip:0201230000@pbx>, <sip:19%300@pbx>;index=1.1')]
    )
    world.run(1.0)
    assert world.rejected == [503]
    assert not world.store.attempts and not world.store.bytes


def test_an_attempt_is_kept_when_we_take_no_calls() -> None:
    world = TracedWorld()
    world.ua.reject_new(503)
    world.dial("1001", line="sales")
    world.run(1.0)
    (attempt,) = world.store.attempts.values()
    assert said(attempt, "caller")[:2] == ["in INVITE", "out 503 Service Unavailable"]


def test_strangers_are_counted_and_nothing_more() -> None:
    world = TracedWorld()
    invite = b"INVITE sip:1001@127.0.0.2 SIP/2.0\r\nCall-ID: x@evil\r\n\r\n"
    world.tap.heard(invite, Address("203.0.113.9", 5060), QM, world.now)
    world.tap.heard(b"junk", Address("203.0.113.9", 5060), QM, world.now)
    world.tap.settle()
    assert world.tap.strangers == 2 and not world.store.bytes and not world.store._by_call_id


def test_key_presses_and_text_are_not_kept() -> None:
    world = TracedWorld()
    trace = talking(world)
    leg = world.caller.leg
    body = b"Signal=7\r\nDuration=160\r\n"
    world.pbx.request(leg, "INFO", [("Content-Type", "application/dtmf-relay")], body, now=world.now)
    world.run(0.5)
    assert "in INFO" in said(trace, "caller")
    assert b"Signal" not in everything(world)


@pytest.mark.parametrize(
    "kind", ["application/dtmf-relay", "application/sdp", "text/plain", "application/kpml-response+xml"]
)
@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "NOTIFY"])
def test_no_body_of_these_methods_is_kept(method: str, kind: str) -> None:
    for end in (b"", b"\r\n\r\n"):
        body = b"Signal=7 application/sdp" + end
        data = f"{method} sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\nCall-ID: x\r\n\r\n".encode() + body
        kept = without_words(data)
        assert kept is not None and b"Signal" not in kept and b"Call-ID: x" in kept


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Call-ID: abc@host", "abc@host"),
        (b"i:abc", "abc"),
        (b"CALL-ID \t:  abc def ", "abc def"),
        (b"Call-ID:\r\n abc", "abc"),
        (b"Call-ID: a\r\n bc", "a bc"),
        (b"Call-ID: \xff", "\udcff"),
        (b"X-Call-ID: no\r\nCall-ID: yes", "yes"),
        (b"From: x", None),
    ],
)
def test_the_call_id_is_read_as_the_user_agent_reads_it(head: bytes, expected: str | None) -> None:
    from qm_sip.sip.message import parse

    data = b"INVITE sip:a@b SIP/2.0\r\n" + head + b"\r\n\r\n"
    assert call_id_of(data) == expected == parse(data).get("call-id")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_no_trace_is_left_of_what_is_confidential(seed: int) -> None:
    """Random histories: whoever is called, transferred to, made private; with and without loss."""
    world = TracedWorld(seed, loss=0.05 * (seed % 2))
    rng = random.Random(seed)
    answering(world)
    world.dial(rng.choice(["1001", "1900", "112", "0201234567"]), line=rng.choice(["", "sales", "support"]))
    for _ in range(6):
        world.run(rng.uniform(0.05, 2.0))
        phone = rng.choice([world.caller, world.agent or world.caller])
        match rng.randrange(4):
            case 0:
                world.becomes(phone, rng.choice(["1900", "1002", "0687654321"]))
            case 1:
                world.press(phone, "*1")
            case 2 if phone.up:
                world.hang_up(phone)
            case _:
                pass
        world.run(0.3)
        check(world)
    if not world.caller.gone:
        world.hang_up(world.caller)
    world.settle()
    check(world)
    assert world.ua.legs == 0 and not world.ua._core.named


def check(world: TracedWorld) -> None:
    """I8 and KSF15-3.9, against the calls themselves."""
    traces = {trace.id: trace for trace in world.swept()}
    for call in world.switchboard:
        trace = traces.get(call.id)
        assert trace is None or not call.unsaid
        if trace is not None and call.private.on:
            assert not [line for line in trace if line.data is not None]
    if world.confidential():
        assert b"1900" not in everything(world)
