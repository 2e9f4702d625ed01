"""kill -9 of the media engine at random moments of calls: they go on directly, the next is recorded (I7, I9).

Four kills by default, a hundred with QM_SIP_TEST_DEPTH=deep.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from qm_sip.recorder.rows import State
from tests.faults.phones import Call, Phones
from tests.faults.site import (
    BEFORE,
    DEEP,
    ON_ANSWER,
    Kept,
    Site,
    children,
    command_of,
    kill,
    lost,
    running,
    until,
)

KILLS = 100 if DEEP else 4
CALLS = 3
MOST_LOST = 1.0

pytestmark = pytest.mark.wire


def goes_on(call: Call) -> None:
    """Both phones hear each other again, from socket to socket."""
    call.wait(lambda call: call.agent is not None and call.agent.up, 15, "answered")
    now = time.monotonic()
    call.hear_each_other(now, 15, direct=True)
    assert call.agent is not None
    for phone, other in ((call.customer, call.agent), (call.agent, call.customer)):
        assert phone.target == other.address[:2]


def play(site: Site, phones: Phones, chance: random.Random) -> float:
    """Let calls come and kill the engine among them. Returns when."""
    end = time.monotonic() + chance.uniform(0.05, 2.5)
    for _ in range(CALLS):
        phones.call(chance.choice([BEFORE, ON_ANSWER]))
        time.sleep(min(chance.uniform(0, 0.5), max(0.0, end - time.monotonic())))
    time.sleep(max(0.0, end - time.monotonic()))
    engine, killed = site.engine(), time.monotonic()
    kill(engine)
    phones.call(chance.choice([BEFORE, ON_ANSWER]))  # comes while there is no engine, or before we know
    return killed


def check(site: Site, call: Call, mine: Kept, killed: float) -> float | None:
    """It failed, says why, and what was said up to a second before is there."""
    assert mine.outcome == "failed", mine
    assert "engine-failed" in mine.reasons, mine
    if not mine.recordings:
        assert call.bridged is None or call.bridged > killed - MOST_LOST, mine
        return None
    missing = lost(site, call, mine, until=killed)
    assert missing <= MOST_LOST, (missing, mine)
    return missing


def a_call_is_recorded(site: Site, phones: Phones) -> None:
    """The engine runs again: the next call is relayed and recorded."""
    call = phones.call(BEFORE)
    call.wait_until_talking()
    time.sleep(0.8)
    at = time.monotonic()
    call.hang_up()
    site.settled()
    mine = site.kept()[call.caller]
    assert (mine.outcome, mine.recording.state) == ("recorded", State.SEALED), mine
    assert lost(site, call, mine, until=at) <= 0.1


@pytest.mark.timeout(90 + 15 * KILLS)
def test_whenever_the_engine_is_killed_the_calls_go_on_and_the_next_is_recorded(tmp_path: Path) -> None:
    chance, site = random.Random(), Site(tmp_path)
    losses: list[float] = []
    with site.running():
        for number in range(KILLS):
            with site.phones(rings=chance.choice([0.0, 0.3])) as phones:
                killed = play(site, phones, chance)
                calls = list(phones.calls)
                for call in calls:
                    goes_on(call)
                until(lambda n=number: site.log.count("runs again") == n + 1, 15, "new engine")  # type: ignore[misc]
                for call in calls:
                    call.hang_up(chance.choice([0, 1]))
                site.settled()
                kept = site.kept()
                found = [check(site, call, kept[call.caller], killed) for call in calls]
                losses += [missing for missing in found if missing is not None]
                a_call_is_recorded(site, phones)
                site.nothing_left_over(
                    [recording for mine in site.kept().values() for recording in mine.recordings]
                )
                site.nothing_in_clear(*(call.caller for call in phones.calls))
        assert "Traceback" not in site.log, site.log
    print(f"\n{KILLS} kills of the engine: {len(losses)} recordings cut short, "
          f"{max(losses, default=0):.2f} s lost at most")  # fmt: skip


def test_an_engine_that_dies_while_it_starts_is_started_again_and_there_is_only_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running(), site.phones() as phones:
        dead = set[int]()
        for _ in range(3):
            engine = until(lambda: next(iter(engines(site) - dead), None), 10, "engine")
            kill(engine)
            dead.add(engine)
        until(lambda: site.log.rfind("runs again") > site.log.rfind("engine died"), 20, "engine that stays")
        time.sleep(0.5)
        assert len(engines(site)) == 1
        a_call_is_recorded(site, phones)
        assert site.server.ask("status")["counts"]["engine_deaths"] == 3
    assert "Traceback" not in site.log, site.log


def engines(site: Site) -> set[int]:
    return {
        pid for pid in children(site.server.pid) if "qm_sip.media.engine" in command_of(pid) and running(pid)
    }
