"""SIGTERM lets running calls finish and takes no new ones; a second one ends them with BYE, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from qm_sip.recorder.rows import State
from tests.faults.phones import Call
from tests.faults.site import BEFORE, ON_ANSWER, Kept, Site, lost

pytestmark = pytest.mark.wire


def ended(site: Site) -> int:
    assert site.server._process is not None
    return site.server._process.wait(20)


def kept_whole(site: Site, call: Call, end: float) -> Kept:
    """The catalog knows the call, nothing is open, the recording is whole."""
    with site.catalog() as catalog:
        assert catalog.open_calls() == []
        assert catalog.unfinished() == []
    mine = site.kept()[call.caller]
    assert (mine.outcome, mine.recording.state) == ("recorded", State.SEALED), mine
    assert lost(site, call, mine, until=end) <= 0.1
    return mine


def test_a_running_call_finishes_new_ones_get_503_and_the_exit_is_0(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        engine = site.engine()
        os.kill(site.server.pid, signal.SIGTERM)
        time.sleep(0.3)
        late = phones.call(ON_ANSWER)
        late.wait_until_over()
        assert late.statuses == [503]
        assert late.retry_after and int(late.retry_after[0]) > 0
        call.hear_each_other(time.monotonic())
        time.sleep(1)
        assert site.server._process is not None
        assert site.server._process.poll() is None
        end = time.monotonic()
        call.hang_up()
        assert ended(site) == 0
        assert not Path(f"/proc/{engine}").exists()
        mine = kept_whole(site, call, end)
        site.nothing_left_over([mine.recording])
        assert late.caller not in site.kept()
    assert "Traceback" not in site.log, site.log


def test_a_second_signal_ends_the_calls_with_a_bye_to_both_sides(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running(), site.phones(rings=30.0) as phones:
        phones.rings = 0.0
        talking = phones.call(BEFORE)
        talking.wait_until_talking()
        phones.rings = 30.0
        ringing, waiting = phones.call(ON_ANSWER), phones.call(BEFORE)
        for call in (ringing, waiting):
            call.wait(lambda call: call.rang, 10, "ringing")
        time.sleep(0.5)
        os.kill(site.server.pid, signal.SIGTERM)
        time.sleep(0.5)
        assert not talking.over
        end = time.monotonic()
        os.kill(site.server.pid, signal.SIGTERM)
        for call in (talking, ringing, waiting):
            call.wait_until_over(5)
        assert ringing.statuses == [503]
        assert waiting.statuses == [200]
        assert ended(site) == 0
        mine = kept_whole(site, talking, end)
        for call in (ringing, waiting):
            assert site.kept()[call.caller].recordings == []
        site.nothing_left_over([mine.recording])
    assert "Traceback" not in site.log, site.log


def test_a_signal_without_calls_ends_the_server_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running():
        began = time.monotonic()
        os.kill(site.server.pid, signal.SIGTERM)
        assert ended(site) == 0
        assert time.monotonic() - began < 5
    assert "Traceback" not in site.log, site.log
