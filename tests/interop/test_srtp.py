"""pjsua2 over TLS and SRTP, with keys in SDP, and a partner who speaks neither: heard, recorded, not to be read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.phone import Phone
from tests.interop.ground import PARTNER, PARTNER_HZ, PEER, PEER_HZ, RECORDER, Ground
from tests.support.wire import ALAW, Packet, Wire, rtp

pytestmark = [
    pytest.mark.wire,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network of its own"),
]

KINDS = [("require", "mandatory"), ("opportunistic", "optional"), ("offer", "mandatory")]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def grounds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ground, Phone]]:
    policy, use = request.param
    with Ground(tmp_path_factory.mktemp("srtp") / "work", "tls", of_peer=f'srtp = "{policy}"\n') as ground:
        more = {"port": 5061, "transport": "tls", "tls": ground.files(), "srtp": use}
        peer = ground.phone("peer", PEER, PEER_HZ, codec="PCMA", answer_after=0.3, **more)
        yield ground, peer


@pytest.mark.parametrize("peer_calls", [True, False], ids=["it-calls", "it-is-called"])
def test_srtp_on_one_leg_and_rtp_on_the_other(
    grounds: tuple[Ground, Phone], peer_calls: bool, tmp_path: Path
) -> None:
    ground, peer = grounds
    ground.wait_idle()
    caller, called, uri = (
        (peer, ground.partner, f"sip:2100@{ground.face}") if peer_calls else (ground.partner, peer, "")
    )
    mark = called.mark()
    with Wire(ground.network, tmp_path / "wire.pcap") as wire:
        call = caller.call(uri or f"sip:2200@{RECORDER}:5080")
        coming = called.wait_for("incoming", 8, since=mark)["call"]
        if called is ground.partner:
            called.answer(call=coming)
        caller.wait_for("confirmed", 8, call=call)
        ground.wait_recording()
        time.sleep(2.0)
        caller.hangup(call=call)
        ground.wait_idle()
    row = ground.ended(ground.calls()[-1]["call"])
    assert (row["outcome"], row["reasons"]) == ("recorded", ["recorded"])
    assert hears(peer, call if peer_calls else coming, PARTNER_HZ)
    assert hears(ground.partner, coming if peer_calls else call, PEER_HZ)
    packets = [packet for packet in rtp(wire.packets(), at=RECORDER) if packet.rtp_type == ALAW]
    sealed, plain = ([p for p in packets if at(p, address)] for address in (PEER, PARTNER))
    assert len(sealed) > 150
    assert len(plain) > 150
    assert {len(packet.payload) for packet in plain} == {12 + 160}
    assert {len(packet.payload) for packet in sealed} <= {12 + 160 + 10, 12 + 160 + 16}
    assert all(len(set(packet.payload[12:172])) > 50 for packet in sealed), "a cipher, no tone"


def at(packet: Packet, address: str) -> bool:
    return address in (packet.source[0], packet.destination[0])


def hears(phone: Phone, call: int, hz: float) -> bool:
    samples = audio.read_wav(phone.recording_path(call))
    return audio.loudest_dbfs(samples, hz) > -20
