"""kill -9 of the renderer at random moments: the recording is rendered all the same, once (I7).

Eight kills by default, a hundred with QM_SIP_TEST_DEPTH=deep. Three on one recording would put it into quarantine, by
design, so each recording is met by one or two.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from qm_sip.recorder.rows import State
from tests.faults.site import BEFORE, DEEP, ON_ANSWER, Site, kill, lost, running, until

KILLS = 100 if DEEP else 8
CALLS = 2

pytestmark = pytest.mark.wire


def kill_a_renderer(site: Site, chance: random.Random) -> int:
    """Kill the renderer once or twice, at any moment from its start; how often it was met alive."""
    met = 0
    for _ in range(chance.choice([1, 2])):
        renderer = until(lambda: site.child("qm_sip.recorder.renderer") or all_rendered(site), 10, "renderer")
        if renderer is True:
            break  # no new one will come before it is needed
        time.sleep(chance.uniform(0, chance.choice([0.03, 0.5])))
        if running(renderer):
            kill(renderer)
            met += 1
        until(lambda pid=renderer: not running(pid), 5, "end of the renderer")  # type: ignore[misc]
    return met


def all_rendered(site: Site) -> bool:
    return not any((site.storage / "journals").iterdir())


@pytest.mark.timeout(90 + 10 * KILLS)
def test_whenever_the_renderer_is_killed_the_recording_is_rendered_once(tmp_path: Path) -> None:
    chance, site = random.Random(), Site(tmp_path)
    kills = interrupted = 0
    with site.running():
        while kills < KILLS:
            with site.phones() as phones:
                calls = [phones.call(chance.choice([BEFORE, ON_ANSWER])) for _ in range(CALLS)]
                for call in calls:
                    call.wait_until_talking()
                time.sleep(0.6)
                ends = []
                for call in calls:
                    ends.append(time.monotonic())
                    call.hang_up()
                kills += kill_a_renderer(site, chance)
                site.settled()
                kept = site.kept()
                for call, end in zip(calls, ends, strict=True):
                    mine = kept[call.caller]
                    assert (mine.outcome, mine.recording.state) == ("recorded", State.SEALED), (
                        mine,
                        site.log,
                    )
                    interrupted += mine.recording.facts["tries"] > 1
                    assert lost(site, call, mine, until=end) <= 0.1
                site.nothing_left_over([recording for mine in kept.values() for recording in mine.recordings])
                site.nothing_in_clear(*(call.caller for call in calls))
        assert "Traceback" not in site.log, site.log
    assert interrupted, "no kill met a renderer at work"
    print(f"\n{kills} kills of the renderer, {interrupted} of them over a recording")
