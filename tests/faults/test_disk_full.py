"""No room left where recordings are kept: one clear error at the start; in a call, the call goes on (I9)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo.server import COMMAND, TREE, ServerError
from qm_sip.recorder.rows import State
from tests.faults import rtp
from tests.faults.phones import Call
from tests.faults.site import BEFORE, Kept, Site, until

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="a small file system of its own needs root"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Use up all its room but for `leave` bytes."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return filler


@pytest.mark.parametrize(
    "leave", [0, 16384, 65536], ids=["nothing", "too little", "not enough for the catalog"]
)
def test_a_full_disk_at_the_start_is_one_clear_error(tmp_path: Path, disk: Path, leave: int) -> None:
    site = Site(tmp_path / "site", storage=disk / "storage")
    fill(disk, leave=leave)
    done = subprocess.run(
        [*COMMAND, "serve", "--config", str(site.server.config)],
        env={**os.environ, **site.server.environment, "PYTHONPATH": str(TREE)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    site.server.close()
    errors = [line for line in done.stderr.splitlines() if not line[:4].isdigit()]  # what is no log line
    assert done.returncode == 4, done.stderr
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("qm-sip: ")
    assert "full" in errors[0] or "No space left" in errors[0]


def test_a_disk_that_fills_up_in_a_call_does_not_end_it_and_what_was_kept_is_rendered(
    tmp_path: Path, disk: Path
) -> None:
    site = Site(tmp_path / "site", storage=disk / "storage")
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        time.sleep(1.5)
        filler, full = fill(disk), time.monotonic()
        until(lambda: "recording" in site.log and "disk-full" in site.log, 10, "line in the log")
        call.hear_each_other(time.monotonic())
        call.hang_up()
        another = phones.call(BEFORE)  # while there is no room: it is put through, and not recorded
        another.wait_until_talking()
        another.hang_up()
        time.sleep(1)
        assert site.server.ask("status")["calls"] == 0
        filler.unlink()
        site.settled(40)
        kept = site.kept()
        check_cut_short(site, call, kept[call.caller], full)
        for mine in kept.values():
            assert mine.outcome == "failed", mine
        site.nothing_left_over([recording for mine in kept.values() for recording in mine.recordings])
        site.nothing_in_clear(call.caller, another.caller)
        late = phones.call(BEFORE)
        late.wait_until_talking()
        time.sleep(0.5)
        late.hang_up()
        site.settled()
        assert site.kept()[late.caller].outcome == "recorded"
    assert "Traceback" not in site.log, site.log


def check_cut_short(site: Site, call: Call, mine: Kept, full: float) -> None:
    """It says so in span and reasons, and what was whole when the disk was full can be heard."""
    assert mine.outcome == "failed"
    assert "journal-failed" in mine.reasons
    assert mine.state_of("journal-failed") == "failed"
    assert mine.recording.state is State.SEALED
    assert call.agent is not None
    for phone in (call.customer, call.agent):
        found = [number for _, _, number in rtp.in_samples(site.samples(mine.recording)[:, phone.side])]
        assert phone.sent[found[-1]] > full - 1.0


def test_a_stalled_start_says_what_is_wrong(tmp_path: Path, disk: Path) -> None:
    """The same through the ready file: whoever waits for it learns that it will not come."""
    site = Site(tmp_path / "site", storage=disk / "storage")
    fill(disk)
    with pytest.raises(ServerError, match="No space left"):
        site.server.start()
    site.server.close()
