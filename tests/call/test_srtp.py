"""Calls whose phones speak SRTP: relayed and recorded with a key for each direction of each leg, handed through where
they go direct, blocked where nobody can open them; and keys that are nowhere but in SDP and in the engine.
"""

from __future__ import annotations

import gc
import logging

import pytest

from qm_sip.call.seat import renamed
from qm_sip.call.security import Security
from qm_sip.call.session import LegSession
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip.sdp import Direction, Sdp, offer
from tests.call.secure_world import CM, GCM, SecurePhone, SecureWorld
from tests.call.test_journeys import answering, ended, kept
from tests.call.test_listening import opened, supervisor

PLAIN = {"suite": ""}


def talking(world: SecureWorld, line: str = "sales", number: str = "1001") -> tuple[SecurePhone, SecurePhone]:
    answering(world)
    world.dial(number, line=line)
    world.run(5.0)
    return world.both


def outcome(world: SecureWorld) -> tuple[Outcome, list[str]]:
    world.hang_up(world.caller)
    world.run(0.5)
    ended(world)
    (row,) = world.outcomes()
    return row.outcome, [reason.code for reason in row.reasons]


def hears(phone: SecurePhone, other: SecurePhone) -> bool:
    """What the other says last; and no packet came that this phone could not open."""
    said = {bytes([number & 0xFF]) * 160 for number in range(other.sequence - 40, other.sequence)}
    return phone.unreadable == 0 and any(packet[12:] in said for packet in phone.heard[-10:])


@pytest.mark.parametrize(
    ("policy", "profile", "customer", "agent"),
    [
        ("require", "RTP/SAVP", CM, CM),
        ("require", "RTP/SAVP", GCM, CM),
        ("offer", "RTP/SAVP", CM, GCM),
        ("opportunistic", "RTP/AVP", CM, GCM),
    ],
)
def test_both_speak_srtp_and_are_recorded(policy: str, profile: str, customer: str, agent: str) -> None:
    world = SecureWorld(policy, {"suite": customer, "profile": profile}, {"suite": agent})
    caller, callee = talking(world)
    assert caller.srtp is not None
    assert callee.srtp is not None
    assert hears(caller, callee)
    assert hears(callee, caller)
    assert len({caller.srtp.ours, caller.srtp.theirs, callee.srtp.ours, callee.srtp.theirs}) == 4
    assert callee.profiles[0] == ("RTP/AVP" if policy == "opportunistic" else "RTP/SAVP")
    assert caller.profiles[-1] == profile
    assert len(caller.crypto) == 1, "an answer has one line"
    assert {channel for channel, _ in kept(world)} == {0, 1}
    assert outcome(world)[0] is Outcome.RECORDED


@pytest.mark.parametrize(
    ("policy", "customer", "agent"),
    [("offer", PLAIN, {}), ("opportunistic", {}, PLAIN), ("opportunistic", PLAIN, PLAIN)],
)
def test_one_side_may_be_plain(policy: str, customer: dict[str, object], agent: dict[str, object]) -> None:
    world = SecureWorld(policy, customer, agent)
    caller, callee = talking(world)
    assert (caller.srtp is None, callee.srtp is None) == (bool(customer), bool(agent))
    assert hears(caller, callee)
    assert hears(callee, caller)
    assert {channel for channel, _ in kept(world)} == {0, 1}
    assert outcome(world)[0] is Outcome.RECORDED


def test_whoever_must_encrypt_and_does_not_is_refused() -> None:
    world = SecureWorld("require", PLAIN)
    world.dial("1001", line="sales")
    world.run(1.0)
    assert world.rejected == [488]
    ended(world)


def test_an_agent_who_answers_without_keys_where_they_are_required_is_given_back() -> None:
    world = SecureWorld("require", {}, PLAIN)
    answering(world)
    world.dial("1001", line="sales")
    world.run(5.0)
    assert world.rejected == [488]
    ended(world)


DTLS = "a=fingerprint:sha-256 00:11\r\na=setup:actpass\r\n"
UNOPENED: list[tuple[str, dict[str, object]]] = [
    ("off", {}),
    ("require", {"suite": "", "profile": "UDP/TLS/RTP/SAVP", "more": DTLS}),
    ("require", {"suite": "", "profile": "RTP/SAVP", "more": "a=crypto:1 F8_128_HMAC_SHA1_80 inline:x\r\n"}),
    ("require", {"extra": "|2^31|1:4"}),
    ("require", {"extra": "|2^10"}),
    ("require", {"extra": " UNENCRYPTED_SRTP"}),
    ("require", {"suite": "", "profile": "RTP/SAVP", "more": "a=key-mgmt:mikey AQAF\r\n"}),
]


@pytest.mark.parametrize(("policy", "customer"), UNOPENED)
def test_what_cannot_be_opened_is_blocked_and_the_call_goes_on_direct(
    policy: str, customer: dict[str, object]
) -> None:
    world = SecureWorld(policy, customer, customer)
    answering(world)
    world.dial("1001", line="sales")
    world.run(5.0)
    caller, callee = world.both
    assert caller.target == (callee.host, callee.port)
    assert callee.target == (caller.host, caller.port)
    assert world.engine.asked(protocol.OpenLeg) == []
    assert outcome(world) == (Outcome.BLOCKED, ["media-encrypted"])


def test_a_call_that_is_not_recorded_hands_each_side_the_others_keys_and_knows_none() -> None:
    world = SecureWorld("require")
    answering(world)
    world.dial("1001")
    world.run(3.0)
    caller, callee = world.both
    assert world.engine.asked(protocol.SetRemote) == []
    assert caller.srtp is not None
    assert callee.srtp is not None
    assert (caller.srtp.ours, caller.srtp.theirs) == (callee.srtp.theirs, callee.srtp.ours)


def test_the_agents_key_makes_it_direct_with_keys_of_their_own() -> None:
    world = SecureWorld("require")
    caller, callee = talking(world)
    old = {caller.key, callee.key}
    world.press(callee, "*1")
    world.run(3.0)
    assert caller.target == (callee.host, callee.port)
    assert caller.srtp is not None
    assert callee.srtp is not None
    assert (caller.srtp.ours, caller.srtp.theirs) == (callee.srtp.theirs, callee.srtp.ours)
    assert {caller.srtp.ours, callee.srtp.ours} == old


def test_hold_and_a_new_key_in_mid_call() -> None:
    world = SecureWorld("require")
    caller, callee = talking(world)
    ours, theirs = caller.key, caller.srtp.theirs if caller.srtp else ""
    world.hold(caller, Direction.SENDONLY)
    world.run(1.0)
    assert len(caller.crypto) == 1, "an answer has one line"
    world.hold(caller, Direction.SENDRECV)
    world.run(1.0)
    assert caller.srtp is not None
    assert (caller.srtp.ours, caller.srtp.theirs) == (ours, theirs)
    assert hears(callee, caller)
    caller.key = ""
    world.hold(caller, Direction.SENDRECV)
    world.run(1.0)
    assert caller.srtp.ours != ours
    assert caller.srtp.theirs == theirs, "ours has not changed"
    assert hears(callee, caller)
    assert hears(caller, callee)
    assert outcome(world)[0] is Outcome.RECORDED


def test_a_refresh_is_answered_with_the_one_key_that_was_chosen() -> None:
    world = SecureWorld("require", {}, {"suite": GCM})
    _, callee = talking(world)
    assert len(callee.crypto) > 1, "it was offered several"
    assert callee.srtp is not None
    ours = callee.srtp.theirs
    for _ in range(2):  # the second repeats the first
        world.hold(callee, Direction.SENDRECV)
        world.run(1.0)
        assert [line.split()[1] for line in callee.crypto] == [GCM]
        assert callee.srtp.theirs == ours


def test_a_leg_that_goes_on_in_another_call_gets_another_key() -> None:
    session = LegSession("caller", 1, "192.0.2.1", Security("offer", (CM, GCM)))
    plain = offer(1, 1, "192.0.2.1", 4000)
    before = session.dress(plain, "offer")
    moved = renamed(session, "callee", None)
    assert not set(keys(before)) & set(keys(moved.dress(plain, "offer")))


def keys(body: bytes) -> list[str]:
    audio = Sdp.parse(body).audio
    assert audio is not None
    return [line.split()[2] for line in audio.attributes("crypto")]


def test_a_phone_that_has_another_key_than_it_says_is_a_failed_recording_and_no_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = SecureWorld("require", {}, {"lies": True})
    _, callee = talking(world)
    assert callee.unreadable == 0
    found, reasons = outcome(world)
    assert (found, reasons) == (Outcome.FAILED, ["media-not-authentic"])
    assert SpanState.FAILED in [span.state for span in world.outcomes()[0].spans]
    assert "not protected with the key it announced" in caplog.text


def test_keys_are_in_no_log_trace_catalog_and_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = SecureWorld("require")
    caller, callee = talking(world)
    assert caller.srtp is not None
    assert callee.srtp is not None
    keys = [caller.srtp.ours, caller.srtp.theirs, callee.srtp.ours, callee.srtp.theirs]
    (trace,) = world.swept()
    held = [line.data for line in trace if line.data]
    assert any(b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxx" in data for data in held)
    objects = [repr(one) for one in gc.get_objects() if str(type(one).__module__).startswith("qm_sip.")]
    assert len(objects) > 100
    written = [caplog.text, repr(held), repr(world.keeper.words), *objects, repr(world.engine.commands)]
    written += [repr(world.engine.sim.journals()), repr(world.engine.sim.keys())]
    outcome(world)
    written += [repr(world.keeper.words), caplog.text]
    for key in keys:
        assert not [text for text in written if key in text]
        assert key.encode() not in b"".join(held)


def test_whoever_takes_the_agents_place_gets_another_key_of_ours() -> None:
    world = SecureWorld("require", refer="here")
    caller, callee = talking(world)
    assert callee.srtp is not None
    assert caller.srtp is not None
    before, ours = callee.srtp.theirs, caller.srtp.theirs
    world.refer(callee, "1002")
    world.run(4.0)
    newcomer = world.both[1]
    assert newcomer is not callee
    assert newcomer.srtp is not None
    assert newcomer.srtp.theirs != before
    assert caller.srtp is not None
    assert caller.srtp.theirs == ours
    assert hears(newcomer, caller)
    assert hears(caller, newcomer)
    outcome(world)


def test_a_consultation_that_is_handed_over_goes_on_under_keys_that_nobody_else_had() -> None:
    world = SecureWorld("require", refer="here")
    caller, callee = talking(world)
    assert caller.srtp is not None
    first = caller.srtp.theirs
    second = world.dial("1003", line="", caller="1001", aside=True)
    world.run(2.0)
    world.refer(callee, "1003", second)
    world.run(4.0)
    colleague = world.both[1]
    assert colleague.srtp is not None
    assert caller.srtp is not None
    assert colleague.srtp.theirs not in (first, caller.srtp.theirs)
    assert hears(colleague, caller)
    assert hears(caller, colleague)


def test_an_engine_that_dies_leaves_the_two_joined_by_their_own_keys() -> None:
    world = SecureWorld("require")
    caller, callee = talking(world)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(2.0)
    assert caller.target == (callee.host, callee.port)
    assert caller.srtp is not None
    assert callee.srtp is not None
    assert (caller.srtp.ours, caller.srtp.theirs) == (callee.srtp.theirs, callee.srtp.ours)


def test_a_supervisor_listens_over_srtp_with_a_key_of_his_own() -> None:
    world = SecureWorld("require")
    caller, callee = talking(world)
    phone = supervisor(world)
    assert isinstance(phone, SecurePhone)
    assert phone.srtp is not None
    assert opened(world)
    heard = len(phone.heard)
    world.run(1.0)
    assert len(phone.heard) >= heard + 45
    assert phone.unreadable == 0
    assert len(set(phone.heard[-40:])) == 40
    parties = {caller.srtp.theirs if caller.srtp else "", callee.srtp.theirs if callee.srtp else ""}
    assert phone.srtp.theirs not in parties


def test_a_supervisor_without_the_keys_that_are_required_is_refused() -> None:
    world = SecureWorld("require", {}, {}, PLAIN)
    talking(world)
    supervisor(world)
    assert world.rejected == [488]
    assert not opened(world)
