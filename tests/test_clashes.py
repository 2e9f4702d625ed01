"""Codes that would be taken for one another: with each other, and with those Asterisk reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.cli.check import find
from qm_sip.config import clashes, load
from qm_sip.config.clashes import DEFAULTS, AsteriskFeatures, clash, read_features, with_asterisk
from qm_sip.errors import ConfigError

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "config"
SITE = ROOT / "tests/cases/site"


@pytest.fixture
def asterisk(tmp_path: Path) -> Path:
    (tmp_path / "features.conf").write_text("[general]\n")
    return tmp_path


def write(asterisk: Path, text: str) -> AsteriskFeatures:
    (asterisk / "features.conf").write_text(text)
    return read_features(asterisk)


def problems(features: AsteriskFeatures) -> list[str]:
    return [problem for _, problem, _ in with_asterisk(load(SITE, {}), features)]


def test_what_asterisk_does_when_nobody_says_otherwise(asterisk: Path) -> None:
    assert (
        read_features(asterisk) == DEFAULTS == AsteriskFeatures({"blindxfer": "#", "disconnect": "*"}, "*8")
    )
    (asterisk / "features.conf").unlink()
    assert read_features(asterisk) == DEFAULTS


def test_its_defaults_take_every_code_of_ours() -> None:
    (problem,) = problems(DEFAULTS)
    assert (
        problem == "Asterisk reads * as disconnect (features.conf): *1, *2, *3, *8, *9 may never reach qm_sip"
    )


def test_the_shipped_snippet_empties_them(asterisk: Path) -> None:
    snippet = "features_qm_sip.conf"
    (asterisk / snippet).write_text((ROOT / "config/asterisk" / snippet).read_text())
    features = write(asterisk, f"[general]\n[featuremap]\nblindxfer => #1\natxfer=*2\n#include {snippet}\n")
    assert features == AsteriskFeatures({"qmpriv": "#77"}, "*8") and problems(features) == []


def test_the_site_of_the_demo_takes_none_of_them() -> None:
    features = read_features(ROOT / "config/asterisk/site")
    assert features.in_call == {"blindxfer": "#1", "atxfer": "#2", "qmpriv": "#77"}
    assert problems(features) == []


def test_codes_below_the_include_count(asterisk: Path) -> None:
    (asterisk / "more.conf").write_text("[featuremap]\ndisconnect =>\n")
    features = write(
        asterisk, '#include "more.conf"\n[featuremap](+)\nblindxfer => #1 ; with t\natxfer => *2\n'
    )
    assert features.in_call == {"blindxfer": "#1", "atxfer": "*2"}
    assert problems(features) == ["Asterisk reads *2 as atxfer (features.conf): *2 may never reach qm_sip"]


def test_codes_of_applications_count_too(asterisk: Path) -> None:
    text = "[featuremap]\ndisconnect=\n[applicationmap]\nnote => *11,self,Playback,beep\n[other]\nx => *1\n"
    assert problems(write(asterisk, text)) == [
        "Asterisk reads *11 as note (features.conf): *1 may never reach qm_sip"
    ]


def test_a_code_that_is_dialled_to_pick_a_call_up(asterisk: Path) -> None:
    features = write(asterisk, "[general]\npickupexten = *67\n[featuremap]\ndisconnect =>\n")
    assert problems(features) == ["the code for next-call is Asterisk's pickupexten (*67)"]


def test_a_directory_that_is_none_and_files_that_include_themselves(asterisk: Path) -> None:
    with pytest.raises(ConfigError, match="is not a directory"):
        read_features(asterisk / "nowhere")
    assert write(asterisk, "#include features.conf\n#tryinclude gone.conf\n") == DEFAULTS


@given(st.text("*#19", min_size=1, max_size=4), st.text("*#19", min_size=1, max_size=4))
def test_codes_clash_if_one_is_complete_before_the_other(one: str, other: str) -> None:
    assert clash(one, other) == clash(other, one) == (one == other[: len(one)] or other == one[: len(other)])


def test_our_own_defaults_do_not_clash() -> None:
    assert list(clashes.clashes(load(SHIPPED, {}).lines)) == []


def test_check_refuses_them_where_it_was_told_of_asterisk(asterisk: Path) -> None:
    errors = [one for one in find(SITE, asterisk) if one.level == "error" and "Asterisk" in one.problem]
    assert len(errors) == 1 and errors[0].key == "private.code" and "features_qm_sip.conf" in errors[0].remedy
    advice = [one for one in find(SITE) if "Asterisk" in one.problem]
    assert [one.level for one in advice] == ["advice"] and "--asterisk" in advice[0].remedy
    assert not [one for one in find(SHIPPED) if "Asterisk" in one.problem]  # nothing records: nothing to say
    nowhere = [one for one in find(SITE, asterisk / "nowhere") if one.problem == "is not a directory"]
    assert nowhere and nowhere[0].level == "error"
