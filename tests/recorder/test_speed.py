"""How many hours of G.711 a CPU hour renders. It prints a figure; it fails only if the work was not done."""

import time

import numpy as np
import pytest

from qm_sip.recorder.journal import read_journal
from qm_sip.recorder.render import render, seal
from tests.recorder.facts import RECIPIENT
from tests.recorder.journal_writer import KEPT_FROM, Writer, alaw, codec, end, merge, stream

SECONDS = 300


def voice(hertz: float, seed: int) -> bytes:
    """Something that a lossless codec finds as hard as speech on a noisy line: bursts of tones in noise."""
    n = np.arange(SECONDS * 8000) / 8000
    burst = np.clip(np.sin(2 * np.pi * 0.25 * n + hertz), 0, 1)
    noise = np.random.default_rng(seed).normal(0, 400, len(n))
    tones = 3000 * np.sin(2 * np.pi * hertz * n) + 1500 * np.sin(2 * np.pi * 2.7 * hertz * n)
    return alaw((burst * (tones + noise)).astype(np.int32))


def test_how_many_hours_a_cpu_hour_renders(capsys: pytest.CaptureFixture[str]) -> None:
    writer = Writer().add(codec(0, 8, "PCMA/8000"), codec(1, 8, "PCMA/8000"))
    packets = merge(stream(0, voice(220, 1), ssrc=1), stream(1, voice(330, 2), ssrc=2))
    for i in range(0, len(packets), 25):  # chunks of 250 ms, as the engine writes them
        writer.add(*packets[i : i + 25])
    data = writer.add(end(KEPT_FROM + SECONDS * 10**9)).to_bytes()
    began = time.process_time()
    made = render(read_journal(data, writer.key))
    sealed = seal(made.flac, {"coaching": [RECIPIENT]})
    took = time.process_time() - began
    with capsys.disabled():
        print(f"\nrendering: {SECONDS / took:.0f} hours of G.711 calls per CPU hour")
    assert made.timeline.length == SECONDS * 8000
    assert len(sealed.ciphertext) > len(made.flac)
