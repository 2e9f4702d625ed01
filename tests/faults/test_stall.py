"""The server stops answering for a while (a stalled disk, a debugger, SIGSTOP): without it nothing is recorded (I4)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from qm_sip.recorder.rows import State
from tests.faults import rtp
from tests.faults.site import BEFORE, Site

STALL, LEASE = 5.0, 3.0  # seconds; the engine's lease is given anew each second

pytestmark = pytest.mark.wire


def test_while_the_server_is_stalled_the_call_goes_on_and_after_three_seconds_nothing_is_kept(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        time.sleep(1.0)
        stopped = time.monotonic()
        os.kill(site.server.pid, signal.SIGSTOP)
        try:
            time.sleep(STALL - 0.5)
            call.hear_each_other(time.monotonic())
            time.sleep(max(0.0, stopped + STALL - time.monotonic()))
        finally:
            os.kill(site.server.pid, signal.SIGCONT)
        went_on = time.monotonic()
        time.sleep(2.5)
        call.hang_up()
        site.settled()
        mine = site.kept()[call.caller]
        assert mine.outcome == "failed", mine
        assert "no-lease" in mine.reasons
        assert mine.recording.state is State.SEALED
        (span,) = [span for span in mine.spans if span["reason"] == "no-lease"]
        assert span["state"] == "failed"
        silent = (int(str(span["to_ms"])) - int(str(span["from_ms"]))) / 1000
        samples = site.samples(mine.recording)
        assert call.agent is not None
        for phone in (call.customer, call.agent):
            numbers = [number for _, _, number in rtp.in_samples(samples[:, phone.side])]
            before = [n for n in numbers if phone.sent[n] < went_on]
            after = [n for n in numbers if phone.sent[n] >= went_on]
            assert before == list(range(before[0], before[-1] + 1))
            assert after == list(range(after[0], after[-1] + 1))
            gap = phone.sent[after[0]] - phone.sent[before[-1]]
            # A lease lasts 3 s from its coming; the last came up to a second before the stall.
            assert stopped + LEASE - 1.5 < phone.sent[before[-1]] < stopped + LEASE + 0.1
            assert phone.sent[after[0]] < went_on + 1.5
            assert abs(gap - silent) < 0.3, (gap, mine.spans)
        assert [gap[0] for gap in mine.recording.facts["gaps"] and _gaps(mine.recording.facts["gaps"])] == [
            "lease"
        ]
    assert "Traceback" not in site.log


def _gaps(text: object) -> list[list[object]]:
    import json

    return list(json.loads(str(text)))
