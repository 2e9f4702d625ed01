"""Legs that speak SRTP: relayed to plain ones and to each other, recorded, and deaf to whoever has no key."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from qm_sip.media import protocol as p
from qm_sip.private import Private
from tests.media.helpers import AGENT, CUSTOMER, PROMPT, TYPES, Script, rtp
from tests.support.srtp import SIZES, NotAuthentic, Srtp

CM, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"
REPORT = struct.pack("!BBHI", 0x80, 201, 1, 11)


def keyed(script: Script, leg: p.LegName, peer: Srtp, **changes: Any) -> None:
    """That leg's description says SRTP: `peer` is its phone."""
    address, port = CUSTOMER if leg == "caller" else AGENT
    keys = p.Srtp(peer.suite, Private(peer.theirs), Private(peer.ours))
    script.do(p.SetRemote("c", leg, address, port, port + 1, TYPES, 8, srtp=keys, **changes))


def recorded(caller: Srtp | None, callee: Srtp | None = None) -> Script:
    """A running recording with these phones."""
    script = Script()
    script.open()
    for leg, peer in (("caller", caller), ("callee", callee)):
        if peer is not None:
            keyed(script, leg, peer)  # type: ignore[arg-type]
    proof = script.tell()
    script.do(p.Bridge("c", True))
    script.tap(proof)
    script.wait(220)
    script.sent.clear()
    return script


def counted(script: Script, name: str) -> int:
    script.do(p.Stats())
    [*_, last] = script.happened(p.StatsReport)
    return int(last.counters[name])


@pytest.mark.parametrize("suite", SIZES)
def test_srtp_is_recorded_and_passed_to_a_plain_leg_in_both_directions(suite: str) -> None:
    phone = Srtp(suite)
    script = recorded(phone)
    script.packet("caller", phone.seal(rtp(1, b"c" * 160, ssrc=11)))
    script.packet("callee", rtp(1, b"a" * 160, ssrc=22))
    [to_agent, to_caller] = script.sent
    assert (to_agent.destination, to_agent.data[12:]) == (AGENT, b"c" * 160)
    assert to_caller.destination == CUSTOMER
    assert b"a" * 8 not in to_caller.data
    assert phone.open(to_caller.data)[12:] == b"a" * 160
    script.wait(400)
    script.do(p.CloseCall("c"))
    kept = {(channel, payload) for channel, *_, payload in script.journal().packets}
    assert kept == {(0, b"c" * 160), (1, b"a" * 160)}


def test_two_srtp_legs_have_keys_of_their_own() -> None:
    caller, callee = Srtp(CM), Srtp(GCM)
    script = recorded(caller, callee)
    script.packet("caller", sealed := caller.seal(rtp(1, b"c" * 160, ssrc=11)))
    [passed] = script.sent
    assert passed.data[12:] != sealed[12:]
    assert callee.open(passed.data)[12:] == b"c" * 160
    with pytest.raises(NotAuthentic):
        Srtp(GCM).open(passed.data)


def test_a_prompt_is_sealed_for_whom_it_tells() -> None:
    phone = Srtp(CM)
    script = Script()
    script.open()
    script.sent.clear()  # a packet of silence, from before it was known that he has keys
    keyed(script, "caller", phone)
    script.tell()
    to_him = [sent.data for sent in script.sent if sent.destination == CUSTOMER]
    assert len(to_him) >= 50
    assert len({phone.open(data) for data in to_him}) == len(to_him)


def test_rtcp_is_opened_and_sealed_too() -> None:
    caller, callee = Srtp(CM), Srtp(GCM)
    script = recorded(caller, callee)
    source = (CUSTOMER[0], CUSTOMER[1] + 1)
    script.engine.packet(script.ports["caller"] + 1, source, caller.seal_rtcp(REPORT), script.now)
    [passed] = script.engine.take_packets()
    assert callee.open_rtcp(passed.data) == REPORT
    script.engine.packet(script.ports["caller"] + 1, source, REPORT + b"\x80\0\0\2" + bytes(10), script.now)
    assert script.engine.take_packets() == []
    assert counted(script, "srtp_not_authentic") == 1


@pytest.mark.parametrize("forged", [lambda packet: packet, Srtp(CM).seal], ids=["plain", "another-key"])
def test_who_has_no_key_is_neither_passed_on_nor_kept(forged: Any) -> None:
    phone = Srtp(CM)
    script = recorded(phone)
    script.packet("caller", forged(rtp(1, b"c" * 160, ssrc=11)))
    genuine = phone.seal(rtp(2, b"C" * 160, ssrc=11))
    script.packet("caller", genuine, ("192.0.2.77", 9999))
    script.packet("caller", forged(rtp(3, b"c" * 160, ssrc=11)), ("192.0.2.77", 9999))
    script.packet("caller", genuine, ("192.0.2.77", 9999))
    assert [sent.data[12:] for sent in script.sent] == [b"C" * 160], "whoever has the key is locked to"
    assert (counted(script, "srtp_not_authentic"), counted(script, "srtp_replayed")) == (2, 1)
    script.wait(400)
    script.do(p.CloseCall("c"))
    [closed] = [event for event in script.happened(p.LegClosed) if event.leg == "caller"]
    assert (closed.not_authentic, closed.received) == (2, 1)


def test_a_new_key_of_theirs_counts_at_once_and_ours_goes_on() -> None:
    phone = Srtp(CM)
    script = recorded(phone)
    script.packet("caller", phone.seal(rtp(1, b"1" * 160, ssrc=11)))
    renewed = Srtp(CM, theirs=phone.theirs)
    keyed(script, "caller", renewed)
    script.packet("caller", renewed.seal(rtp(3, b"3" * 160, ssrc=11)))
    script.packet("caller", phone.seal(rtp(2, b"2" * 160, ssrc=11)))
    script.packet("callee", rtp(9, b"a" * 160, ssrc=22))
    *passed, back = script.sent
    assert [sent.data[12:13] for sent in passed] == [b"1", b"3", b"2"]
    assert renewed.open(back.data)[12:] == b"a" * 160


def test_a_wrong_key_is_said_once_and_not_of_a_stranger() -> None:
    phone, wrong = Srtp(CM), Srtp(CM)
    script = recorded(phone)
    for n in range(200):
        script.packet("caller", wrong.seal(rtp(n, b"c" * 160, ssrc=11)), ("192.0.2.77", 9999))
        script.wait(20)
    assert script.happened(p.MediaNotAuthentic) == []
    for n in range(200):
        script.packet("caller", wrong.seal(rtp(n, b"c" * 160, ssrc=11)))
        script.wait(20)
    assert script.happened(p.MediaNotAuthentic) == [p.MediaNotAuthentic("c", "caller")]


def test_a_listener_with_keys_hears_the_call() -> None:
    ear, phone = Srtp(GCM), Srtp(CM)
    script = Script(uses=["record", "listen"])
    script.open()
    keyed(script, "caller", phone)
    proof = script.tell()
    script.do(p.Play("c", "callee", "n", PROMPT, for_tap="l"))
    script.wait(1000)
    notice = script.happened(p.PromptFinished)[-1].proof
    script.do(p.Bridge("c", True), p.OpenCall("e", ""), p.OpenLeg("e", "caller", outside=False, channel=0))
    port = script.happened(p.LegOpened)[-1].port
    keys = p.Srtp(GCM, Private(ear.theirs), Private(ear.ours))
    script.do(p.SetRemote("e", "caller", "192.0.2.30", 6000, 6001, TYPES, 8, srtp=keys))
    script.tap(proof, "l", use="listen", notice=notice, to={"call": "e", "leg": "caller"})
    script.wait(300)
    for n in range(50):
        script.packet("caller", phone.seal(rtp(n, b"\x2a" * 160, ssrc=11)))
        script.wait(20)
    heard = [ear.open(sent.data)[12:] for sent in script.sent if sent.from_port == port]
    assert sum(audio == b"\x2a" * 160 for audio in heard) > 20


def test_a_key_that_is_none_is_a_fault_that_does_not_say_it() -> None:
    script = Script()
    script.open()
    bad = p.Srtp(GCM, Private("c2hvcnQ="), Private("c2VjcmV0LXNlY3JldA=="))
    script.do(p.SetRemote("c", "caller", *CUSTOMER, CUSTOMER[1] + 1, TYPES, 8, srtp=bad))
    [failed] = script.happened(p.CommandFailed)
    assert (failed.do, failed.reason, failed.leg) == ("set_remote", "bad-key", "caller")


def test_keys_are_in_the_message_and_in_no_repr() -> None:
    peer = Srtp(CM)
    keys = p.Srtp(peer.suite, Private(peer.theirs), Private(peer.ours))
    command = p.SetRemote("c", "caller", *CUSTOMER, 1, TYPES, 8, srtp=keys)
    assert command.to_json()["srtp"] == {"suite": CM, "ours": peer.theirs, "theirs": peer.ours}
    assert peer.ours not in repr(command) + str(command)
    assert peer.theirs not in repr(command) + str(command)
