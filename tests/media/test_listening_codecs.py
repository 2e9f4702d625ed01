"""A listener hears the call in whatever codec his own phone speaks, and nothing when he may not."""

from __future__ import annotations

import numpy as np
import pytest

from qm_sip._media import Decoder
from qm_sip.media import protocol as p
from tests.media.sound import decibels
from tests.media.test_listening import EAR, LEVEL, Listened


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("PCMU/8000", 8000),
        ("G722/8000", 16000),
        ("L16/8000", 8000),
        ("L16/16000", 16000),
        ("opus/48000/2", 16000),
    ],
)
def test_the_listener_hears_both_in_whatever_codec_his_phone_speaks(name: str, rate: int) -> None:
    call = Listened({"96": name})
    call.listening()
    begun = call.now
    call.speak(1000)
    mine = [s.data[12:] for s in call.sent if s.destination == EAR and s.at_ns > begun]
    assert {s.data[1] & 0x7F for s in call.sent if s.destination == EAR} == {96}
    octets, sizes = b"".join(mine), [len(payload) for payload in mine]
    sound = np.frombuffer(Decoder(rate).decode(name, octets, sizes, [rate // 50] * len(mine)), np.int16)
    heard = sound[:: rate // 8000].astype(float)[800:]
    assert abs(decibels(heard, 1000) - LEVEL) < 1.5
    assert abs(decibels(heard, 2100) - LEVEL) < 1.5
    silence = len(call.sent)
    call.do(p.CloseTap("c", "l", "over"))
    call.speak(600)
    after = [s.data[12:] for s in call.sent[silence:] if s.destination == EAR][5:]
    spans = [rate // 50] * len(after)
    quiet = np.frombuffer(
        Decoder(rate).decode(name, b"".join(after), [len(a) for a in after], spans), np.int16
    )
    assert decibels(quiet[:: rate // 8000].astype(float)[1600:], 1000) < -60
