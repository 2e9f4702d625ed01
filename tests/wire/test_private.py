"""A call made private where one side will not talk directly: it stays here, on a relay that nothing can listen to."""

from __future__ import annotations

import select
import socket
import struct
import time

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import Address, Leg, Message

pytestmark = pytest.mark.wire


def recorded_with_a_known_agent(scene: Scene) -> tuple[Leg, Leg, Message]:
    caller, callee, ok = scene.talk("2100")
    callee.request("UPDATE", headers=[("P-Asserted-Identity", "<sip:1001@example.net>")])
    callee.expect(200, "UPDATE")
    scene.recording()
    return caller, callee, ok


def presses(leg: Leg, keys: str) -> None:
    for key in keys:
        leg.request("INFO", body=f"Signal={key}\r\nDuration=160\r\n", kind="application/dtmf-relay")
        leg.expect(200, "INFO")


def passes(scene: Scene, by: Leg, relay: Address, to: Leg) -> int:
    """How many of ten packets come through from one side to the other."""
    heard: list[bytes] = []
    marker = struct.pack("!I", 0xABAD1DEA)
    drain(to.party.ear)
    for number in range(10):
        head = struct.pack("!BBHI", 0x80, 8, 1000 + number, 160 * number)
        by.party.ear.sendto(head + marker + b"\xd5" * 160, relay)
        time.sleep(0.02)
        heard += drain(to.party.ear)
    return sum(data[2:4] in {struct.pack("!H", 1000 + n) for n in range(10)} for data in heard)


def drain(ear: socket.socket) -> list[bytes]:
    found = []
    while select.select([ear], [], [], 0)[0]:
        found.append(ear.recv(2000))
    return found


@pytest.mark.parametrize("refusing", [("callee",), ("caller",), ("caller", "callee")])
def test_who_refuses_direct_media_stays_on_a_blind_relay_and_the_proof_says_so(
    scene: Scene, refusing: tuple[str, ...]
) -> None:
    caller, callee, ok = recorded_with_a_known_agent(scene)
    legs, relays = {"caller": caller, "callee": callee}, {"caller": ok.media, "callee": callee.invite.media}
    presses(callee, "*1")
    offers = {name: leg.expect("INVITE") for name, leg in legs.items()}
    assert offers["caller"].media == (scene.agents.address, scene.agents.rtp)
    assert offers["callee"].media == (scene.pbx.address, scene.pbx.rtp)
    assert scene.site.ask("taps")["taps"] == []
    for name, leg in legs.items():
        if name in refusing:
            leg.reply(488, offers[name])
        else:
            leg.answer(to=offers[name])
        leg.expect("ACK")
    for name in sorted(legs.keys() - set(refusing)):  # whoever had agreed is led back
        back = legs[name].expect("INVITE")
        assert back.media == relays[name]
        legs[name].answer(to=back)
        legs[name].expect("ACK")
    assert passes(scene, caller, relays["caller"], callee) == 10
    assert passes(scene, callee, relays["callee"], caller) == 10
    assert scene.site.ask("taps")["taps"] == []
    call = scene.site.ask("calls", limit=1)["calls"][0]["call"]
    scene.end(caller, callee)
    proof = scene.site.ask("private_proof", call=call, **{"as": "a1"})
    assert (proof["private"], proof["path"], proof["packets_end"]) == (True, "blind-relay", None)
    assert (proof["recorded_after"], proof["listened_after"]) == (0, 0)


def test_what_the_other_side_offers_later_brings_it_no_nearer(scene: Scene) -> None:
    """A re-INVITE that would be passed through the relay again is passed on as it is: no socket is opened for it."""
    caller, callee, _ = recorded_with_a_known_agent(scene)
    presses(callee, "*1")
    for leg in (caller, callee):
        leg.answer(to=leg.expect("INVITE"))
        leg.expect("ACK")
    until = time.monotonic() + 2
    while time.monotonic() < until and scene.site.ask("status")["taps"]:
        time.sleep(0.02)
    for direction, mirrored in (("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
        caller.request("INVITE", body=caller.sdp(direction))
        offer = callee.expect("INVITE")
        assert offer.media == (scene.pbx.address, scene.pbx.rtp)
        callee.answer(callee.sdp(mirrored), to=offer)
        callee.expect("ACK")
        assert caller.expect(200, "INVITE").media == (scene.agents.address, scene.agents.rtp)
        caller.ack()
    assert scene.site.ask("taps")["taps"] == []
    call = scene.site.ask("calls", limit=1)["calls"][0]["call"]
    scene.end(caller, callee)
    proof = scene.site.ask("private_proof", call=call, **{"as": "a1"})
    assert (proof["path"], proof["recorded_after"]) == ("direct", 0)
