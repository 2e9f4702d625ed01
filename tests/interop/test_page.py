"""The page says what was run, no more: written from the results, and as it stands in the repository."""

from __future__ import annotations

import json

from tests.interop import page
from tests.interop.matrix import PEERS

CELL = {
    "peer": "pjsua2",
    "version": "1",
    "transport": "udp",
    "scenario": "inbound",
    "result": "passed",
    "why": "",
    "measured": "1600 Hz at the peer",
}


def test_the_page_in_the_repository_is_of_the_results_in_it() -> None:
    assert page.PAGE.read_text() == page.page(json.loads(page.RESULTS.read_text()))


def test_a_failure_and_its_reason_are_on_the_page() -> None:
    failed = {**CELL, "scenario": "outbound", "result": "failed", "why": "It says no.", "day": "2026-01-01"}
    shown = page.page([{**CELL, "day": "2026-01-01"}, failed])
    assert "| outbound | **no** |" in shown
    assert "| inbound | yes |" in shown
    assert "pjsua2, outbound (UDP): It says no." in shown
    assert "| inbound | UDP | 1600 Hz at the peer |" in shown
    assert "peer holds |" not in shown  # not run


def test_a_new_run_replaces_its_own_peers_cells_alone() -> None:
    old = [
        {**CELL, "day": "1"},
        {**CELL, "peer": "SIPp", "day": "1"},
        {**CELL, "transport": "tcp", "day": "1"},
    ]
    merged = page.merge(old, [{**CELL, "result": "failed"}], "2")
    assert [(c["peer"], c["transport"], c["result"], c["day"]) for c in merged] == [
        ("SIPp", "udp", "passed", "1"),
        ("pjsua2", "tcp", "passed", "1"),
        ("pjsua2", "udp", "failed", "2"),
    ]


def test_every_peer_says_what_it_is() -> None:
    assert all(kind.what for kind in PEERS)
