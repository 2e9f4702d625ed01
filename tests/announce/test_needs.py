"""Whatever a finger may ask for is there before the first call, or the server does not start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qm_sip import config as settings
from qm_sip.announce.choose import agent_hears, language_of_staff
from qm_sip.announce.coverage import check, load_for
from qm_sip.announce.needs import LISTENERS, MENU, needs
from qm_sip.announce.prompts import TONES, PromptLibrary, load_all_errors
from qm_sip.config import Config
from qm_sip.errors import ConfigError
from tests.announce.helpers import put, voice
from tests.announce.site import NOBODY_LISTENS, load, site

NOTHING: dict[str, Any] = {"uses": None, "purposes": None, "says": None}
OBJECTING = {"K14", "K15", "K15b"}
PAUSING = {"K18", "K19"}


def with_lines(config: Config, **values: object) -> Config:
    lines = {name: line.model_copy(update=values) for name, line in config.lines.line.items()}
    return replace(config, lines=config.lines.model_copy(update={"line": lines}))


def with_notices(config: Config, **values: object) -> Config:
    notices = config.regulation.notices.model_copy(update=values)
    return replace(config, regulation=config.regulation.model_copy(update={"notices": notices}))


def library_of(config: Config) -> PromptLibrary:
    return load_all_errors(config.server.prompts.directory)[0]


def wanted(config: Config) -> Mapping[str, set[str]]:
    """The ids that are needed, by folder."""
    found: dict[str, set[str]] = {"nl": set(), "en": set(), TONES: set()}
    for need in needs(config, library_of(config)):
        found[need.place[0]].add(need.place[1])
    return found


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(site(tmp_path, lines=NOBODY_LISTENS))


def customers(config: Config, **values: object) -> set[str]:
    return {one for one in wanted(with_lines(config, **values))["en"] if one.startswith("K")}


def test_where_customers_may_object_the_answers_are_needed_in_every_language(config: Config) -> None:
    assert customers(config) == OBJECTING | PAUSING
    assert wanted(config)["nl"] > OBJECTING | PAUSING
    assert customers(config, languages=("nl",)) == set()


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ({"opt_out": False, "purposes": ("contract_evidence",)}, PAUSING),
        ({"opt_out": False, "purposes": ("contract_evidence",), "listen": True}, PAUSING | {"K15b", "K17"}),
        ({"purposes": ("contract_evidence",)}, PAUSING | OBJECTING | {"K17"}),
        ({"opt_out": False, "purposes": ("legal_duty",), "legal_duty": "Wft"}, PAUSING | {"K16"}),
        ({"opt_out": False, "legal_duty": "Wft", "listen": True}, PAUSING | {"K15b", "K16"}),
        ({"capture": "none", "listen": True}, {"K15b"}),
        ({"capture": "none"}, set()),
    ],
)
def test_each_line_needs_the_answers_it_can_give(
    config: Config, values: dict[str, object], needed: set[str]
) -> None:
    assert customers(config, **values) == needed


def test_a_notice_that_offers_more_needs_it_in_its_own_language(tmp_path: Path) -> None:
    home = site(tmp_path)
    put(home / "prompts", "K11-all-key", "en", keys=["9", "8"])
    found = wanted(load(home))
    assert ("K21" in found["en"], "K21" in found["nl"]) == (True, False)


def test_agents_hear_tones_in_mid_call_and_speech_before(config: Config) -> None:
    found = wanted(config)
    assert found[TONES] == {"T-A1", "T-A3", "T-A4", "T-A7", "T-A14", "T-A15"}
    assert found["nl"] - OBJECTING - PAUSING == {"A4", "A5", "A6", "A7", "B1"}


def test_the_council_may_ask_for_speech_always(config: Config) -> None:
    found = wanted(with_notices(config, agent_mid_call="speech"))
    assert found[TONES] == set()
    assert found["nl"] >= {"A1", "A3", "A4", "A7", "A14", "A15"}


def test_without_the_recording_tone_it_is_not_needed(config: Config) -> None:
    assert "T-A1" not in wanted(with_notices(config, agent_recording_tone=False))[TONES]


def test_listening_needs_the_notices_to_the_agent_and_the_supervisors_menu(config: Config) -> None:
    found = wanted(with_lines(config, listen=True))
    assert found[TONES] >= {"T-A8", "T-A9", "T-A10", "T-A11", "T-A12"}
    assert found["nl"] >= set(MENU)
    assert not found["en"] & set(MENU)
    assert len(MENU) == 3 + 4 + 13


def test_a_load_test_needs_nothing_more(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "config/examples/load"
    config = settings.load(example, {})
    assert needs(config, library_of(config)) == []


# --------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    "place", ["nl/K15", "en/K14", "nl/A7", "tones/T-A4", "tones/T-A1", "nl/B1", "en/K19"]
)
@pytest.mark.parametrize("suffix", [".wav", ".toml"])
def test_each_that_is_missing_stops_the_start_and_says_what_to_do(
    tmp_path: Path, place: str, suffix: str
) -> None:
    home = site(tmp_path)
    path = home / "prompts" / place
    path.with_suffix(".wav").unlink()
    if suffix == ".toml":
        path.with_suffix(".toml").unlink()
    with pytest.raises(ConfigError) as caught:
        load_for(load(home))
    assert caught.value.file == str(path.with_suffix(suffix))
    assert "qm-sip prompts build" in caught.value.remedy
    assert path.name in caught.value.remedy


def test_what_is_missing_for_one_reason_is_one_error(tmp_path: Path) -> None:
    home = site(tmp_path)
    for path in (home / "prompts" / "en").glob("K1[45]*"):
        path.unlink()
    (fault,) = check(load(home), library_of(load(home)))
    assert fault.problem == "K14, K15, K15b are not there, and customers may object"


def test_a_language_that_no_line_speaks_may_be_unfinished(tmp_path: Path) -> None:
    home = site(tmp_path)
    put(home / "prompts", "K14", "fr", kind="customer-confirmation", text="Bien.", **NOTHING)
    (home / "prompts/fr/K14.wav").unlink()
    assert load_for(load(home)).find("K14", "fr") is None


def test_what_nothing_uses_may_be_missing(tmp_path: Path) -> None:
    home = site(tmp_path, lines=NOBODY_LISTENS)
    for place in ("nl/W1", "tones/T-A8", "en/A4", "nl/K20", "en/K21"):
        (home / "prompts" / f"{place}.wav").unlink()
    assert load_for(load(home)).find("W1", "nl") is None


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize(("way", "folder"), [("tone", TONES), ("speech", "nl")])
def test_an_own_recording_of_a_notice_that_is_too_long_is_refused(
    tmp_path: Path, listener: str, way: str, folder: str
) -> None:
    home = site(tmp_path)
    sidecar = home / "prompts" / folder / f"{'T-' if way == 'tone' else ''}{listener}.toml"
    config = with_notices(with_lines(load(home), listen=True), agent_mid_call=way)

    def said() -> list[str]:
        return [str(fault) for fault in check(config, library_of(config)) if "3 s at most" in str(fault)]

    voice(sidecar, 3.0)
    assert said() == []
    voice(sidecar, 3.1)
    (fault,) = said()
    assert f"{listener}.wav: lasts 3.1 s; 3 s at most (rule 7)" in fault


# --------------------------------------------------------------------------- what staff hear


def test_staff_are_spoken_to_in_the_first_language(config: Config) -> None:
    english = with_lines(config, languages=("en", "nl"))
    assert language_of_staff(english, english.lines.line["sales"]) == "en"
    assert language_of_staff(english) == config.lines.customer.languages[0] == "nl"


def test_an_agent_hears_a_tone_while_he_talks(config: Config) -> None:
    assert agent_hears(config, "A4", talking=True) == "T-A4"
    assert agent_hears(config, "A4", talking=False) == "A4"
    speech = with_notices(config, agent_mid_call="speech")
    assert agent_hears(speech, "A4", talking=True) == "A4"
