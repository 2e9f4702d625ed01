"""Two real phones (pjsua2) that speak G.722 through a real server: what each says is on its side of a wideband file."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qm_sip.demo.phone import Phone
from qm_sip.recorder.export import open_sealed, verify
from qm_sip.recorder.keys import read_identity
from tests.faults.site import BEFORE, ON_ANSWER, PURPOSE, Site

pytestmark = pytest.mark.wire

CUSTOMER_HZ, AGENT_HZ = 5200.0, 6100.0  # above what a narrowband codec carries


def tone(path: Path, hertz: float) -> Path:
    n = np.arange(2 * 16000)
    samples = (8000 * np.sin(2 * np.pi * hertz * n / 16000)).astype(np.int16)
    soundfile.write(path, samples, 16000, subtype="PCM_16")
    return path


def level(samples: np.ndarray, hertz: float, rate: int) -> float:
    """Of the loudest half second, dBFS."""
    size = rate // 2
    waves = np.exp(-2j * np.pi * hertz * np.arange(size) / rate) * np.hanning(size)
    pieces = [samples[i : i + size] / 32768 for i in range(0, len(samples) - size, size // 2)]
    loudest = max((abs(np.sum(piece * waves)) * 4 / size for piece in pieces), default=0.0)
    return float(20 * np.log10(max(loudest, 1e-9)))


@pytest.mark.parametrize("number", [BEFORE, ON_ANSWER])
def test_g722_phones_are_recorded_in_wideband(number: str, tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    customer_says, agent_says = (tone(tmp_path / f"{hz}.wav", hz) for hz in (CUSTOMER_HZ, AGENT_HZ))
    with (
        site.running(),
        Phone(
            "customer", site.where.customers, output=tmp_path / "c", codec="G722", say=customer_says
        ) as customer,
        Phone(
            "agent", site.where.agents, output=tmp_path / "a", codec="G722", answer_after=0.2, say=agent_says
        ) as agent,
    ):
        call = customer.call(f"sip:{number}@{site.where.server}:5080")
        customer.wait_for("confirmed", 10, call=call)
        coming = agent.wait_for("confirmed", 10)["call"]
        time.sleep(3.0)
        assert {phone.report(call=of)["codec"] for phone, of in ((customer, call), (agent, coming))} == {
            "G722"
        }
        customer.hangup(call=call)
        site.settled()
        heard, rate = soundfile.read(agent.recording_path(coming), dtype="int16")
        assert level(heard, CUSTOMER_HZ, rate) > -20
        with site.catalog() as catalog:
            (row,) = catalog.calls(10)
            (recording,) = catalog.recordings_of(str(row["id"]))
    data = open_sealed(
        site.storage / "recordings" / str(recording.file),
        recording.wrapped[PURPOSE],
        read_identity(site.server.identity),
    )
    assert verify(data, recording).wrong == []
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    assert (rate, samples.shape[1]) == (16000, 2)
    left, right = samples[:, 0], samples[:, 1]
    assert level(left, CUSTOMER_HZ, rate) > -20 > -45 > level(left, AGENT_HZ, rate)
    assert level(right, AGENT_HZ, rate) > -20 > -45 > level(right, CUSTOMER_HZ, rate)
