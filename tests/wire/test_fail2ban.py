"""The shipped fail2ban filter, by fail2ban's own reader, over lines that a running server wrote."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import Party
from tests.wire.site import ROOT, Site

FILTERS = ROOT / "config" / "fail2ban"
pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed"),
]


def matched(site: Site, lines: Path) -> list[str]:
    """The addresses that the filter finds, one for each line."""
    done = subprocess.run(
        ["fail2ban-regex", "--out", "ip", str(lines), str(FILTERS / "filter.d" / "qm-sip.conf")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.strip() for line in done.stdout.splitlines() if re.fullmatch(r"[0-9a-f.:]+", line.strip())]


def test_it_reads_every_line_of_a_refusal_and_no_other(scene: Scene, tmp_path: Path) -> None:
    site = scene.site
    with site.settings(), Party(site.at(99), site.server) as stranger:
        for request in ("INVITE", "OPTIONS", "REGISTER", "HACK"):
            stranger.call("7000", request=request, sdp=None)
            time.sleep(1.05)  # a line a second is written of one source
        for _ in range(30):
            stranger.call("7000", request="OPTIONS", sdp=None)
        stranger.pump(0.3)
    caller, callee, _ = scene.talk()
    scene.end(caller, callee)
    lines = site.log().splitlines()
    refusals = [line for line in lines if "refused: kind=" in line and "kind=replay" not in line]
    log = tmp_path / "qm_sip.log"
    log.write_text("\n".join(lines) + "\n")
    found = matched(site, log)
    assert {"kind=stranger", "kind=flood"} <= {word for line in refusals for word in line.split()}
    assert len(found) == len(refusals) > 4
    assert set(found) >= {site.at(99)}
    assert len(lines) > len(refusals)


def test_nobody_can_write_a_line_that_shuts_out_somebody_else(scene: Scene, tmp_path: Path) -> None:
    evil = "INVITE\nrefused: kind=ban method=INVITE transport=udp source=127.0.0.1 port=5060 more=0"
    with scene.site.settings(), Party(scene.site.at(99), scene.site.server) as stranger:
        stranger.send(f"{evil} sip:x SIP/2.0\r\nVia: SIP/2.0/UDP {stranger.address};branch=z9hG4bKx\r\n\r\n")
        stranger.call("7000 refused: kind=ban source=127.0.0.1", request="source=127.0.0.1", sdp=None)
        stranger.pump(0.3)
    log = tmp_path / "qm_sip.log"
    log.write_text(scene.site.log())
    assert "127.0.0.1" not in matched(scene.site, log)


def test_the_jail_names_the_filter_and_is_off_until_somebody_looks() -> None:
    jail = (FILTERS / "jail.d" / "qm-sip.conf").read_text()
    assert "filter   = qm-sip" in jail
    assert "enabled  = false" in jail
