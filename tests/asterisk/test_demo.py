"""`qm-sip demo` from beginning to end: what it prints, what it leaves, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from qm_sip.demo.server import COMMAND, TREE

PNG = b"\x89PNG\r\n\x1a\n"


def run_demo(tmp_path: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*COMMAND, "demo", "--report", str(report), "--output", str(tmp_path / "out"), *options],
        env={**os.environ, "PYTHONPATH": str(TREE)},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    return done, json.loads(report.read_text()) if report.exists() else {}


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {call["scene"]: call["outcome"] for call in report["calls"]}


@pytest.mark.timeout(300)
def test_beside_asterisk_every_call_ends_as_it_should(tree: Path, tmp_path: Path) -> None:
    done, report = run_demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(report) == {
        "inbound": "recorded",
        "outbound": "recorded",
        "works-council": "counted",
        "colleague": "bypassed",
        "hung-up": "blocked",
        "private": "recorded",
        "objection": "blocked",
        "listener": "recorded",
        "no-listener": "recorded",
        "receipt": "recorded",
        "server-gone": "connected",
    }
    calls = {call["scene"]: call for call in report["calls"]}
    assert calls["works-council"]["rtp_here"] == 0
    assert calls["works-council"]["call"] == ""
    assert calls["inbound"]["rtp_here"] > 500
    assert 0 < calls["server-gone"]["connected_after"] < 6.5
    assert report["asterisk"].startswith("22.")
    assert report["after_kill"]["confidential"] == 1
    assert len(report["after_kill"]["recordings"]) == 6  # all but the one that was destroyed
    assert Path(report["picture"]).read_bytes().startswith(PNG)
    samples, rate = soundfile.read(report["recording"], always_2d=True)
    assert samples.shape[1] == 2
    assert len(samples) / rate == pytest.approx(calls["inbound"]["recorded_seconds"], abs=0.04)
    for line in ("kill -9", "the recording runs", "What became of the calls", "To look further"):
        assert line in done.stdout


def test_phones_only_it_says_so(tmp_path: Path) -> None:
    scenes = [word for name in ("inbound", "listener", "server-gone") for word in ("--only", name)]
    done, report = run_demo(tmp_path, "--phones-only", *scenes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "without Asterisk" in done.stdout
    assert report["asterisk"] is None
    assert outcomes(report) == {"inbound": "recorded", "listener": "recorded"}


def test_a_scene_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    done, report = run_demo(tmp_path, "--only", "nothing")
    assert done.returncode != 0 and not report
    assert "no scene 'nothing'" in done.stderr and "inbound" in done.stderr


def test_without_root_it_plays_phone_to_phone_by_itself() -> None:
    """Asked of the command's own decision: the whole run is the test above."""
    program = (
        "import os; os.geteuid = lambda: 1000\n"
        "from qm_sip.demo import show\n"
        "def stop(output, scenes, *, phones_only, console): print('phones only:', phones_only); raise SystemExit(7)\n"
        "show.run = stop\n"
        "from qm_sip.cli.main import main; main(['demo', '--output', '/nowhere'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(TREE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Not root" in done.stdout
    assert "phones only: True" in done.stdout
    assert done.returncode == 7
