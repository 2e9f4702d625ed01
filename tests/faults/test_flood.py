"""Floods by SIPp while a recorded call goes on: its recording has every packet, and new calls are taken after."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qm_sip.recorder.rows import State
from tests.faults.site import BEFORE, ON_ANSWER, Site, lost

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp is not installed"),
]
SHOUT = Path(__file__).parents[1] / "wire" / "scenarios" / "shout.xml"
CALLS, RATE = 12_000, 3_000
EAGER = """
[peers.eager]
addresses = ["{eager}"]
max_setups = 5
max_calls = 20

[[routes]]
from = "eager"
to = "agents"
direction = "inbound"
"""


@contextmanager
def flood(site: Site, source: str, called: str, work: Path) -> Iterator[subprocess.Popen[bytes]]:
    """INVITEs of as many calls, each once, from a process of its own; what is answered it does not hear."""
    command = ["sipp", "-sf", str(SHOUT), "-i", source, "-p", "5060", "-s", called, "-m", str(CALLS), "-r", str(RATE),
               "-l", "100000", "-nr", "-nostdin", f"{site.where.server}:5080"]  # fmt: skip
    with (work / "sipp.out").open("wb") as out:
        running = subprocess.Popen(command, cwd=work, stdout=out, stderr=out)
    try:
        yield running
        assert running.wait(60) in (0, 1)  # 1: calls whose answers it did not expect
    finally:
        running.kill()
        running.wait(5)


def cpu(site: Site) -> float:
    fields = Path(f"/proc/{site.server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def doors(site: Site) -> dict[str, int]:
    found = site.server.ask("status")["counts"].items()
    return {name.removeprefix("door_"): n for name, n in found if name.startswith("door_")}


@pytest.mark.parametrize("who", ["strangers", "strangers, who are told so", "a peer that brings too much"])
def test_a_call_goes_on_and_is_recorded_whole(tmp_path: Path, who: str) -> None:
    site = Site(tmp_path)
    settings = tmp_path / "config" / "qm_sip.toml"
    text = settings.read_text()
    if who == "strangers, who are told so":
        text = text.replace("[sip]\n", "[sip]\nstranger_rate = 0\n")
    if who == "a peer that brings too much":
        text += EAGER.format(eager=site.where.strangers)
    settings.write_text(text)
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        time.sleep(0.5)
        before = cpu(site)
        with flood(site, site.where.strangers, ON_ANSWER, tmp_path):
            call.hear_each_other(time.monotonic())
        spent, refused = cpu(site) - before, doors(site)
        call.hear_each_other(time.monotonic())
        end = time.monotonic()
        call.hang_up()
        call.wait_until_over()
        after = phones.call(ON_ANSWER)
        after.wait_until_talking()
        after.hang_up()
        after.wait_until_over()
        site.settled()
        mine = site.kept()[call.caller]
        assert (mine.outcome, mine.recording.state) == ("recorded", State.SEALED), mine
        assert lost(site, call, mine, until=end) <= 0.1
    turned_away = sum(
        n for kind, n in refused.items() if kind in ("stranger", "silenced") or kind.startswith("full")
    )
    assert turned_away >= CALLS * 0.6, refused  # what the kernel dropped before us is not counted
    print(f"{who}: {CALLS} INVITEs, {turned_away} turned away, {spent:.2f} s of CPU, "
          f"{spent / CALLS * 1e6:.0f} µs each; {refused}")  # fmt: skip
    written = [line for line in site.log.splitlines() if "qm_sip.security" in line]
    assert len(written) < 100
    assert "Traceback" not in site.log, site.log
