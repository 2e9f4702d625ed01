"""SIP over TCP through a running server: streams cut anywhere, connections that go, and calls of two transports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from qm_sip.announce.wav import write_wav
from qm_sip.demo.phone import Phone
from tests.wire.conftest import Scene
from tests.wire.party import Leg
from tests.wire.stream import StreamParty

pytestmark = pytest.mark.wire

LONG = ("X-Colour", "x" * 1300)


@pytest.fixture
def stream(scene: Scene) -> Iterator[StreamParty]:
    with StreamParty(scene.site.at(45), scene.site.server) as party:
        yield party
        for leg in party.legs:
            if scene.site.ask("status")["calls"] > scene.site.left:
                leg.give_up()


def talk(caller: Leg, callee: Leg) -> None:
    """The two are connected."""
    callee.answer()
    caller.connected()
    callee.expect("ACK")


def recorded(scene: Scene) -> None:
    assert scene.ended() == "recorded"


# --------------------------------------------------------------------------- calls of two transports


def test_a_caller_over_tcp_and_a_callee_over_udp_are_recorded(scene: Scene, stream: StreamParty) -> None:
    caller = stream.call("2100")
    callee = scene.agents.called()
    assert callee.invite.get("Via").startswith("SIP/2.0/UDP")
    assert "transport" not in callee.invite.contact + callee.invite.start
    callee.reply(180)
    assert caller.expect(180).contact.endswith(":5080;transport=tcp")
    talk(caller, callee)
    scene.recording()
    scene.end(caller, callee)
    recorded(scene)


def test_a_caller_over_udp_and_a_callee_over_tcp_are_recorded(scene: Scene, stream: StreamParty) -> None:
    caller = scene.pbx.call("6200")
    callee = stream.called()
    assert callee.invite.get("Via").startswith(f"SIP/2.0/TCP {scene.site.at(1)}:5080")
    assert callee.invite.start == f"INVITE sip:6200@{stream.address}:5060;transport=tcp SIP/2.0"
    assert callee.invite.contact == f"sip:qm@{scene.site.at(1)}:5080;transport=tcp"
    callee.reply(180)
    assert "transport" not in caller.expect(180).contact
    talk(caller, callee)
    scene.recording()
    callee.request("BYE")
    caller.hung_up()
    callee.expect(200, "BYE")
    scene.site.calls_end()
    recorded(scene)


def test_both_over_tcp_on_one_connection_each_way(scene: Scene, stream: StreamParty) -> None:
    for _ in range(3):
        caller = stream.call("6000")
        callee = stream.called()
        talk(caller, callee)
        caller.hang_up()
        callee.hung_up()
    assert len(stream.ends) <= 2  # the one we made, the one the server made
    assert max(stream.copies.values()) == 1


@pytest.mark.parametrize("number", ["6000", "6200"])
def test_offers_and_keys_go_along_between_transports(scene: Scene, stream: StreamParty, number: str) -> None:
    caller, callee = scene.pbx.call(number), stream.called()
    talk(caller, callee)
    if number == "6200":
        scene.recording()
    for by, to in ((caller, callee), (callee, caller)):
        by.request("INVITE", body=by.sdp("sendonly"))
        to.answer(to.sdp("recvonly"), to=to.expect("INVITE"))
        to.expect("ACK")
        by.expect(200, "INVITE")
        by.ack()
    if number == "6000":
        callee.request("INFO", body="Signal=5", kind="application/dtmf-relay")
        caller.reply(200, caller.expect("INFO"))
        callee.expect(200, "INFO")
    caller.hang_up()
    callee.hung_up()


def test_a_cancel_and_a_refusal_over_tcp_are_not_repeated(scene: Scene, stream: StreamParty) -> None:
    caller, callee = scene.pbx.call("6000"), stream.called()
    callee.reply(180)
    caller.expect(180)
    caller.cancel()
    cancel = callee.expect("CANCEL")
    assert cancel.get("Via") == callee.invite.get("Via")
    callee.reply(200, cancel)
    callee.reply(487)
    callee.expect("ACK")
    refused = caller.expect(487, "INVITE")
    caller.request("ACK", cseq=caller.cseq, branch=refused.branch)
    caller = stream.call("7000")
    scene.agents.called().reply(486)
    busy = caller.expect(486, "INVITE")
    time.sleep(1.2)
    stream.pump(0)
    assert max(stream.copies.values()) == 1  # timer G is off
    caller.request("ACK", cseq=caller.cseq, branch=busy.branch)


def test_a_2xx_is_repeated_over_tcp_until_the_ack(scene: Scene, stream: StreamParty) -> None:
    caller = stream.call("7000")
    callee = scene.agents.called()
    callee.answer()
    caller.expect(200, "INVITE")
    until = time.monotonic() + 1.8
    while time.monotonic() < until:
        stream.pump(0.2)
    caller.ack()
    stream.pump(0.3)
    (copies,) = (n for data, n in stream.copies.items() if data.startswith(b"SIP/2.0 200"))
    assert copies == 3  # at 0, 0.5 and 1.5 s
    callee.expect("ACK")
    scene.end(caller, callee)


# --------------------------------------------------------------------------- streams cut anywhere


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_party_that_cuts_its_messages(scene: Scene, stream: StreamParty, cut: int) -> None:
    stream.cut = cut
    caller = stream.call("2100")
    callee = scene.agents.called()
    talk(caller, callee)
    scene.recording()
    scene.end(caller, callee)
    recorded(scene)


def test_messages_that_come_together_are_each_heard_in_their_order(scene: Scene, stream: StreamParty) -> None:
    """Item 22: what is said first arrives first, in either direction."""
    stream.hold_back()
    callers = [stream.call("7000"), stream.call("7001")]
    stream.send(b"\r\n\r\n\r\n")
    stream.let_go()
    callees = [scene.agents.called() for _ in callers]
    for callee in callees:
        callee.reply(180)
        callee.answer()
    for caller in callers:
        answers: list[int] = []
        while answers[-1:] != [200]:
            answer = stream.wait(lambda m: m.get("Call-ID") == caller.call_id, "answer")  # noqa: B023
            answers.append(answer.status)
        assert answers == [100, 180, 200]
        caller.learn(answer)
    assert stream.pongs == 1
    stream.hold_back()
    for caller in callers:
        caller.ack()
        caller.request("BYE")
    stream.let_go()
    for callee, caller in zip(callees, callers, strict=True):
        callee.expect("ACK")
        callee.hung_up()
        caller.expect(200, "BYE")


def test_keep_alives_between_messages_get_their_pong(scene: Scene, stream: StreamParty) -> None:
    caller = stream.call("7000")
    callee = scene.agents.called()
    for _ in range(3):
        stream.send(b"\r\n\r\n")
    talk(caller, callee)
    stream.send(b"\r\n\r\n")
    stream.pump(0.2)
    assert stream.pongs == 4
    scene.end(caller, callee)


def test_a_stream_without_edges_is_closed_and_no_call_is_hurt(scene: Scene, stream: StreamParty) -> None:
    caller = stream.call("7000")
    callee = scene.agents.called()
    talk(caller, callee)
    for nonsense in (b"INFO sip:x SIP/2.0\r\nVia: x\r\n\r\n", b"\xff" * 70_000, b"GET / HTTP/1.1\r\n\r\n"):
        bad = stream.connect()
        bad.sendall(nonsense)
        until = time.monotonic() + 2
        while bad.fileno() >= 0:
            assert time.monotonic() < until
            stream.pump(0.1)
    assert len(stream.ends) == 1
    scene.end(caller, callee)


# --------------------------------------------------------------------------- connections that go


@pytest.mark.parametrize("number", ["7000", "2100"])
def test_a_connection_dropped_in_mid_call_hurts_no_call_and_the_bye_takes_another(
    scene: Scene, stream: StreamParty, number: str
) -> None:
    caller = stream.call(number)
    callee = scene.agents.called()
    talk(caller, callee)
    if number == "2100":
        scene.recording()
    stream.drop()
    scene.agents.pump(0.3)
    assert not callee.hears("BYE") and scene.site.ask("status")["calls"] == scene.site.left + 1
    callee.request("BYE")
    bye = caller.expect("BYE")  # the server has come to our door
    assert bye.get("Via").startswith("SIP/2.0/TCP")
    caller.reply(200, bye)
    callee.expect(200, "BYE")
    scene.site.calls_end()
    if number == "2100":
        recorded(scene)


def test_the_party_that_dropped_it_hangs_up_by_a_new_one(scene: Scene, stream: StreamParty) -> None:
    caller = stream.call("7000")
    callee = scene.agents.called()
    talk(caller, callee)
    stream.drop()
    scene.end(caller, callee)


def test_a_callee_whose_connection_goes_while_it_rings_answers_by_another(
    scene: Scene, stream: StreamParty
) -> None:
    caller, callee = scene.pbx.call("6000"), stream.called()
    callee.reply(180)
    caller.expect(180)
    stream.drop()
    callee.answer()  # 18.2.2: by a new connection
    caller.connected()
    callee.expect("ACK")
    caller.hang_up()
    callee.hung_up()


def test_a_caller_whose_connection_goes_while_it_rings_is_answered_at_its_door(
    scene: Scene, stream: StreamParty
) -> None:
    caller = stream.call("7000")
    callee = scene.agents.called()
    callee.reply(180)
    caller.expect(180)
    stream.drop()
    time.sleep(0.1)
    callee.answer()
    caller.connected()
    assert [name[1] for name in stream.ends] != [] and len(stream.ends) == 1
    callee.expect("ACK")
    scene.end(caller, callee)


def test_nobody_is_there_over_tcp_is_known_at_once(scene: Scene) -> None:
    scene.pbx.call("9000").expect(503, "INVITE", within=1.0)


def test_a_peer_that_has_gone_is_known_at_once_and_back_when_it_is(scene: Scene) -> None:
    with StreamParty(scene.site.at(45), scene.site.server) as first:
        caller, callee = scene.pbx.call("6000"), first.called()
        talk(caller, callee)
        caller.hang_up()
        callee.hung_up()
    refused = scene.pbx.call("6000")
    answer = refused.expect(503, "INVITE", within=1.0)
    refused.request("ACK", cseq=refused.cseq, branch=answer.branch)
    with StreamParty(scene.site.at(45), scene.site.server) as second:
        caller, callee = scene.pbx.call("6000"), second.called()
        talk(caller, callee)
        caller.hang_up()
        callee.hung_up()


def test_what_drips_in_holds_no_connection(scene: Scene, stream: StreamParty) -> None:
    slow = stream.connect()
    began = time.monotonic()
    while slow.fileno() >= 0:
        assert time.monotonic() - began < 8
        slow.send(b"INVITE"[:1])
        stream.pump(0.2)
    assert time.monotonic() - began > 4


def test_a_strangers_connections_are_few_and_its_calls_refused(scene: Scene) -> None:
    with StreamParty(scene.site.at(99), scene.site.server) as stranger:
        leg = stranger.call("7000")
        answer = leg.expect(403, "INVITE")
        leg.request("ACK", cseq=leg.cseq, branch=answer.branch)
        for _ in range(20):
            stranger.connect()
        stranger.pump(0.3)
        until = time.monotonic() + 3
        while len(stranger.ends) > 4:
            assert time.monotonic() < until
            stranger.pump(0.1)
    assert scene.site.ask("status")["counts"]["sip_connections_refused"] >= 17


# --------------------------------------------------------------------------- by its size


def test_a_large_invite_goes_over_tcp_to_a_peer_that_has_it(scene: Scene) -> None:
    with StreamParty(scene.site.at(46), scene.site.server, also_udp=True) as both:
        caller, callee = scene.pbx.call("8000", headers=[LONG]), both.called()
        assert callee.invite.get("Via").startswith("SIP/2.0/TCP")
        assert callee.invite.get("X-Colour") == LONG[1]
        callee.reply(180)
        caller.expect(180)
        callee.answer()
        caller.connected()
        callee.expect("ACK")
        caller.hang_up()
        callee.hung_up()
        caller, callee = scene.pbx.call("8000"), both.called()
        assert callee.invite.get("Via").startswith("SIP/2.0/UDP")
        assert callee.invite.source == (scene.site.at(1), 5080)
        both.socket.sendto(_busy(callee), callee.invite.source)
        answer = caller.expect(486, "INVITE")
        caller.request("ACK", cseq=caller.cseq, branch=answer.branch)


def _busy(leg: Leg) -> bytes:
    kept = [
        f"{name}: {value}" for name, value in leg.invite.headers if name in ("Via", "From", "Call-ID", "CSeq")
    ]
    to = f"To: {leg.invite.get('To')};tag={leg.tag}"
    return "\r\n".join(["SIP/2.0 486 Busy", *kept, to, "Content-Length: 0", "", ""]).encode()


def test_a_large_invite_goes_over_udp_to_a_peer_that_has_only_that(scene: Scene) -> None:
    caller = scene.pbx.call("7000", headers=[LONG])
    callee = scene.agents.called(within=1.0)
    assert callee.invite.get("Via").startswith("SIP/2.0/UDP") and callee.invite.get("X-Colour") == LONG[1]
    talk(caller, callee)
    scene.end(caller, callee)


# --------------------------------------------------------------------------- a telephone that is not ours


@contextmanager
def phone(scene: Scene, work: Path, transport: str, **kw: float) -> Iterator[Phone]:
    tone = np.asarray(8000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 8000), dtype=np.int16)
    say = work / "tone.wav"
    say.write_bytes(write_wav(tone))
    with Phone("phone", scene.site.at(45), output=work, transport=transport, say=say, **kw) as made:  # type: ignore[arg-type]
        yield made


def test_pjsua2_calls_over_tcp_and_is_recorded(scene: Scene, tmp_path: Path) -> None:
    with phone(scene, tmp_path, "tcp") as caller:
        number = caller.call(f"sip:2100@{scene.site.at(1)}:5080;transport=tcp")
        callee = scene.agents.called()
        callee.answer()
        caller.wait_for("confirmed", call=number)
        callee.expect("ACK")
        scene.recording()
        callee.request("BYE")
        callee.expect(200, "BYE")
        caller.wait_for("disconnected", call=number)
    scene.site.calls_end()
    recorded(scene)


def test_pjsua2_is_called_over_tcp_and_recorded(scene: Scene, tmp_path: Path) -> None:
    with phone(scene, tmp_path, "tcp", answer_after=0.2) as callee:
        caller = scene.pbx.call("6200")
        caller.connected()
        callee.wait_for("confirmed")
        scene.recording()
        caller.hang_up()
        callee.wait_for("disconnected")
    scene.site.calls_end()
    recorded(scene)
