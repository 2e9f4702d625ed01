"""kill -9 of the server at random moments of running calls (I7): the next start completes what had begun.

Five kills by default, a hundred with QM_SIP_TEST_DEPTH=deep; `pytest -s` prints what was lost.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from qm_sip.recorder.rows import Recording, State
from tests.faults.phones import Call
from tests.faults.site import BEFORE, DEEP, ON_ANSWER, Kept, Site, kill, lost, running, until

KILLS = 100 if DEEP else 5
CALLS = 3
MOST_LOST = 1.0  # seconds (I7)
ENGINE_ENDS = 6.0  # seconds the engine has, after the server, to close its journals

pytestmark = pytest.mark.wire


@dataclass
class Round:
    """The calls of one life of the server, and when it was killed."""

    calls: list[Call]
    hung_up: dict[int, float]
    killed: float

    def said_until(self, call: Call) -> float:
        return self.hung_up.get(call.number, self.killed)


def play(site: Site, chance: random.Random) -> Round:
    """Let calls come, some of them end, and kill the server in the middle of it."""
    hung_up: dict[int, float] = {}
    with site.phones(rings=chance.choice([0.0, 0.3])) as phones:
        end = time.monotonic() + chance.uniform(0.3, 3.0)
        for _ in range(CALLS):
            phones.call(chance.choice([BEFORE, ON_ANSWER]))
            time.sleep(min(chance.uniform(0, 0.4), max(0.0, end - time.monotonic())))
        ending = chance.uniform(end - 0.6, end + 0.3)
        time.sleep(max(0.0, min(ending, end) - time.monotonic()))
        if ending < end:
            hung_up[1] = time.monotonic()
            phones.hang_up(phones.calls[0], 0)
        time.sleep(max(0.0, end - time.monotonic()))
        engine = site.engine()
        killed = time.monotonic()
        if chance.random() < 0.5:
            kill(engine)  # all at once, as when the machine's memory is full
        site.server.kill()
        until(lambda: not running(engine), ENGINE_ENDS, "end of the engine")
        return Round(list(phones.calls), hung_up, killed)


def check(site: Site, played: Round, kept: dict[str, Kept]) -> list[float]:
    """Every call of that life has ended in the catalog, and its recording is whole but for its last second."""
    losses = []
    for call in played.calls:
        mine = kept.get(call.caller)
        if mine is None:
            assert not call.statuses, "answered before its row stood"
            continue
        assert mine.outcome in ("failed", "recorded", "blocked"), mine
        assert mine.reasons, mine
        if call.number not in played.hung_up:
            assert mine.reasons == ["server-died"], mine
            assert mine.outcome == "failed"
        if mine.recordings:
            missing = lost(site, call, mine, until=played.said_until(call))
            assert missing <= MOST_LOST, (missing, mine)
            assert abs(mine.recorded - mine.seconds) <= MOST_LOST, (
                mine
            )  # seconds add up, also after a crash (I8)
            losses.append(missing)
        else:
            assert call.bridged is None or played.said_until(call) - call.bridged < MOST_LOST, mine
    return losses


@pytest.mark.timeout(90 + 15 * KILLS)
def test_whenever_the_server_is_killed_what_had_begun_is_completed(tmp_path: Path) -> None:
    chance, site = random.Random(), Site(tmp_path)
    losses: list[float] = []
    sealed: list[Recording] = []
    with site.running():
        for _ in range(KILLS):
            played = play(site, chance)
            numbers = [call.caller for call in played.calls]
            site.nothing_in_clear(*numbers, BEFORE, ON_ANSWER)
            site.server.start()
            site.settled()
            kept = site.kept()
            losses += check(site, played, kept)
            recordings = [recording for mine in kept.values() for recording in mine.recordings]
            site.nothing_left_over(recordings)
            site.nothing_in_clear(*numbers, BEFORE, ON_ANSWER)
            sealed = [recording for recording in recordings if recording.state is State.SEALED]
    assert sealed
    print(f"\n{KILLS} kills of the server: {len(sealed)} recordings completed, "
          f"{max(losses):.2f} s lost at most, {sorted(losses)[len(losses) // 2]:.2f} s usually")  # fmt: skip
    assert "Traceback" not in site.log


def test_a_new_server_waits_for_the_engine_of_the_dead_one(tmp_path: Path) -> None:
    """It may still be closing its journals: a slow disk gives it seconds."""
    site = Site(tmp_path)
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        time.sleep(1)
        engine = site.engine()
        os.kill(engine, signal.SIGSTOP)  # as if it waited for the disk
        killed = time.monotonic()
        site.server.kill()
        waker = threading.Timer(3.0, os.kill, (engine, signal.SIGCONT))
        waker.start()
        site.server.start()
        assert time.monotonic() - killed > 3.0
        assert not running(engine)
        site.settled()
        assert lost(site, call, site.kept()[call.caller], until=killed) <= 0.3
