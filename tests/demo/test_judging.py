"""A call that ends otherwise than it should is found, whichever side says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qm_sip.demo import picture, show
from qm_sip.demo.scenes import SCENES, Played, judge

BY_NAME = {scene.name: scene for scene in SCENES}


def good(name: str) -> Played:
    """A scene that went as it should."""
    scene = BY_NAME[name]
    recorded = scene.outcome == "recorded"
    return Played(
        scene,
        outcome=scene.outcome,
        reasons=[scene.reason] if scene.reason else [],
        call="c",
        recording="r" if recorded else "",
        recorded_seconds=scene.talk if recorded else 0.0,
        rtp_here=400 if scene.media_here else 0,
        heard=True,
    )


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_call_as_it_should_be_has_no_problem(name: str) -> None:
    played = good(name)
    judge(played)
    assert played.ok, played.problems


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("inbound", {"outcome": "bypassed"}, "should be recorded, and is bypassed"),
        ("inbound", {"recording": ""}, "no recording"),
        ("inbound", {"recorded_seconds": 1.0}, "only 1.0 s"),
        ("inbound", {"rtp_here": 3}, "is the counter right"),
        ("works-council", {"rtp_here": 1}, "1 media packets came to qm_sip"),
        ("works-council", {"outcome": "recorded"}, "should be counted"),
        ("hung-up", {"outcome": "recorded"}, "should be blocked"),
        ("hung-up", {"reasons": ["not-answered"]}, "reason should be announcement-not-completed"),
        ("server-gone", {"outcome": ""}, "should be connected, and is unknown"),
        ("colleague", {"heard": False}, "did not hear each other"),
    ],
)
def test_a_call_that_ended_otherwise_is_a_problem(name: str, wrong: dict[str, object], says: str) -> None:
    played = replace(good(name), **wrong)  # type: ignore[arg-type]
    judge(played)
    assert any(says in problem for problem in played.problems), played.problems
    assert not show.Shown("22", Path("x"), [good("inbound"), played]).ok


def test_the_report_is_json_with_every_call(tmp_path: Path) -> None:
    shown = show.Shown("22.10.1", tmp_path, [good(name) for name in BY_NAME])
    show.write_report(tmp_path / "deep" / "report.json", shown)
    read = json.loads((tmp_path / "deep" / "report.json").read_text())
    assert read["ok"] is True
    assert [call["scene"] for call in read["calls"]] == list(BY_NAME)
    assert read["calls"][0]["expected"] == {"outcome": "recorded", "reason": "recorded"}
    assert "0612345678" not in json.dumps(read)


def test_a_problem_of_the_whole_is_not_ok() -> None:
    assert not show.Shown("", Path("x"), [], problems=["a number stands in clear"]).ok


def test_numbers_in_clear_are_found_in_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0\x010612345678\xff")
    (tmp_path / "0612345678.wav").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"061234567")
    assert show.files_with(tmp_path, "0612345678") == [tmp_path / "0612345678.wav", tmp_path / "a"]


def test_moments_lie_on_the_phones_axis() -> None:
    """The server's call begins when it gets the INVITE, the phones' when the customer dials; both end at once."""
    spans = [
        {"state": "untold", "from": 0.0, "to": 7.0},
        {"state": "told", "from": 7.0, "to": 7.2},
        {"state": "recorded", "from": 7.2, "to": 13.0},
    ]
    at = picture.moments(spans, 5.8, answer=1.5, end=13.4)
    assert at.announcement == pytest.approx((1.6, 7.4))
    assert at.recording == pytest.approx((7.6, 13.4))
    assert (at.answer, at.end) == (1.5, 13.4)
