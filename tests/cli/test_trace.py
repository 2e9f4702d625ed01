"""`qm-sip trace` as an administrator runs it."""

from __future__ import annotations

import json
import math
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.cli.main import main
from tests.announce.site import environ, site
from tests.control.state import State, make_state, serving
from tests.trace.world import TracedWorld, talking


@pytest.fixture
def world() -> TracedWorld:
    world = TracedWorld()
    world.store.keep_for = math.inf
    return world


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: TracedWorld) -> Iterator[State]:
    home = site(tmp_path)
    for name, value in environ(home).items():
        monkeypatch.setenv(name, value)
    state = make_state(home)
    state.tap = world.tap
    with serving(state):
        yield state


class Run:
    def __init__(self, capsys: pytest.CaptureFixture[str], state: State) -> None:
        self._capsys, self._state = capsys, state

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["trace", *map(str, arguments), "--config", str(self._state.home)])
        out, err = self._capsys.readouterr()
        return (ended.value.code if isinstance(ended.value.code, int) else 0), out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], state: State) -> Run:
    return Run(capsys, state)


def test_the_ladder_has_both_legs_and_says_what_was_offered(run: Run, world: TracedWorld) -> None:
    trace = talking(world)
    code, out, _ = run(trace.id[:8])
    lines = out.splitlines()
    assert code == 0 and lines[0] == f"{trace.id}: running"
    assert lines[1].split() == ["caller", "asterisk", "qm_sip", "callee", "asterisk"]
    assert (
        "|------ INVITE ------->|                      |" in lines[2]
        and "SDP sendrecv RTP/AVP PCMA" in lines[2]
    )
    assert any("|                      |------ INVITE ------->|" in line for line in lines)
    assert "0612345678" not in out and "127.0.0.1" not in out


def test_raw_follow_and_list(run: Run, world: TracedWorld) -> None:
    trace = talking(world)
    world.hang_up(world.caller)
    world.run(1.0)
    code, out, _ = run(trace.id, "--raw", "--follow")
    assert code == 0 and "INVITE sip:user-1@" in out and out.splitlines()[-1] == "over"
    assert trace.id in run()[1] and run("--last", "5")[1].startswith(f"{trace.id}: over")
    assert json.loads(run(trace.id, "--json")[1])["call"] == trace.id


def test_a_capture_file_is_its_owners_and_is_not_written_over(
    run: Run, world: TracedWorld, tmp_path: Path
) -> None:
    trace, file = talking(world), tmp_path / "call.pcap"
    code, out, _ = run(trace.id, "--pcap", file)
    assert code == 0 and f"{trace.count} messages" in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (
        struct.unpack("<I", file.read_bytes()[:4]) == (0xA1B2C3D4,) and b"0612345678" not in file.read_bytes()
    )
    before = file.read_bytes()
    assert run(trace.id, "--pcap", file)[0] == 4 and file.read_bytes() == before


def test_refusals_end_with_their_status(run: Run, world: TracedWorld) -> None:
    trace = talking(world)
    code, out, err = run(trace.id, "--raw", "--unredacted", "--as", "m1", "--reason", "case 1")
    assert code == 6 and "[trace-not-granted]" in err and not out
    assert run("nothing-like-it")[0] == 1
    assert run(trace.id, "--unredacted")[0] == 4
    assert run(trace.id, "--follow", "--unredacted", "--as", "o1", "--reason", "x")[0] == 4
