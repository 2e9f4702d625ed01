"""A line whose customers would be told too little, or something untrue, stops the start."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qm_sip.announce.choose import language_for, prompt_for
from qm_sip.announce.coverage import advise_lines, check_lines, load_for
from qm_sip.announce.prompts import load as load_prompts
from qm_sip.config import Config
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import CallFacts, CallId, Direction, LineKind, Use, Version
from tests.announce.helpers import put
from tests.announce.site import NOBODY_LISTENS, load, rewrite, site


def faults(config: Config) -> list[str]:
    return [str(error) for error in check_lines(config, load_prompts(config.server.prompts.directory))]


def test_the_demo_tells_the_truth(tmp_path: Path) -> None:
    config = load(site(tmp_path))
    assert faults(config) == []
    assert {prompt.id for prompt in load_for(config)} >= {"K1-all-short-key", "K11-all-key", "K14", "T-A1"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"purposes": ["assessment"]}, "does not name purpose coaching"),
        ({"uses": ["listen"]}, "does not say record"),
        ({"says": "may"}, "capture = 'all' needs \"does\""),
        ({"identity": "Another B.V."}, "neither controller nor client"),
        ({"keys": ["7"]}, "promises key 7, which does nothing"),
        ({"kind": "customer-insert"}, "not a customer-notice"),
    ],
)
def test_a_prompt_that_does_not_cover_its_line_is_refused(
    tmp_path: Path, values: dict[str, object], says: str
) -> None:
    home = site(tmp_path)
    put(home / "prompts", "K11-all-key", "en", **values)
    (fault,) = faults(load(home))
    assert says in fault
    assert "lines.toml: line.outbound." in fault
    with pytest.raises(ConfigError) as caught:
        load_for(load(home))
    assert str(caught.value) == fault


@pytest.mark.parametrize("keys", [["9"], ["8"], ["9", "8"]])
def test_the_keys_that_are_obeyed_may_be_promised(tmp_path: Path, keys: list[str]) -> None:
    home = site(tmp_path)
    put(home / "prompts", "K11-all-key", "en", keys=keys)
    assert faults(load(home)) == []


@pytest.mark.parametrize(
    ("opt_out", "listen", "stops"),
    [
        (True, False, True),
        (True, True, True),
        (False, True, True),  # K7b: the key stops the listening only
        (False, False, False),
    ],
)
def test_nine_may_be_promised_where_it_stops_something(
    tmp_path: Path, opt_out: bool, listen: bool, stops: bool
) -> None:
    home = site(tmp_path)
    for language in ("nl", "en"):
        for prompt in ("K1-all-short-key", "K11-all-key"):
            put(home / "prompts", prompt, language, keys=["9"], uses=["record", "listen"])
    config = load(home)
    lines = {
        name: line.model_copy(update={"opt_out": opt_out, "listen": listen})
        for name, line in config.lines.line.items()
    }
    said = faults(replace(config, lines=config.lines.model_copy(update={"line": lines})))
    assert bool(said) is not stops
    assert all("promises key 9, but nothing of this line can be stopped" in fault for fault in said)


def test_listening_must_be_said(tmp_path: Path) -> None:
    home = site(tmp_path, lines=('capture = "all"', 'capture = "all"\nlisten = true'))
    assert (
        len([fault for fault in faults(load(home)) if "does not say listen" in fault]) == 4
    )  # support, outbound


def test_each_language_needs_its_prompt(tmp_path: Path) -> None:
    home = site(tmp_path)
    for suffix in ("toml", "wav"):
        (home / f"prompts/en/K11-all-key.{suffix}").unlink()
    (fault,) = faults(load(home))
    assert "no prompt 'K11-all-key' in language 'en'" in fault


def test_a_line_that_records_nothing_needs_no_prompt(tmp_path: Path) -> None:
    home = site(tmp_path, prompts=False, lines=('capture = "all"', 'capture = "none"'))
    rewrite(home / "lines.toml", *NOBODY_LISTENS)
    (home / "prompts").mkdir()
    assert len(load_for(load(home))) == 0


@pytest.mark.parametrize("missing", ["K1-all-short-key.wav", "K1-all-short-key.toml"])
def test_a_prompt_that_a_line_plays_stops_the_start_when_its_file_is_missing(
    tmp_path: Path, missing: str
) -> None:
    home = site(tmp_path)
    (home / "prompts/nl" / missing).unlink()
    with pytest.raises(ConfigError, match=missing.split(".")[0]):
        load_for(load(home))


def test_a_prompt_that_no_line_plays_may_be_unbuilt(tmp_path: Path) -> None:
    home = site(tmp_path)
    put(home / "prompts", "K6").with_suffix(".wav").unlink()
    assert load_for(load(home)).find("K6", "nl") is None


def test_a_prompt_directory_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such prompt directory"):
        load_for(load(site(tmp_path, prompts=False)))


def test_advice_about_length_keys_and_texts(tmp_path: Path) -> None:
    home = site(tmp_path)
    put(home / "prompts", "K1-all-short-key", seconds=12.0, text="Dit gesprek wordt opgenomen om te coachen.")
    put(home / "prompts", "K2-all-short", seconds=12.5, uses=["record", "listen"])
    config = load(home)
    advice = "\n".join(advise_lines(config, load_prompts(config.server.prompts.directory)))
    assert "line.sales: prompt K2-all-short (nl) lasts 12.5 s, more than prompt_max (12 s)" in advice
    assert "line.support: prompt K1-all-short-key (nl) lasts" not in advice
    assert "K1-all-short-key.toml: the first sentence does not say {identity} (rule 1)" in advice
    assert advice.count("line.support: prompt K1-all-short-key offers no key to object") == 1


def test_advice_where_recordings_are_kept_longer_than_the_information_says(tmp_path: Path) -> None:
    config = load(site(tmp_path))
    library = load_prompts(config.server.prompts.directory)
    late = "K21 says two months at most, but legal_duty is kept longer"
    assert not any(late in text for text in advise_lines(config, library))
    lines = {"duty": config.lines.line["sales"].model_copy(update={"purposes": ("legal_duty",)})}
    duty = replace(config, lines=config.lines.model_copy(update={"line": lines}))
    assert [text for text in advise_lines(duty, library) if "K21" in text] == [
        f"line.duty: {late}: change its text"
    ]


def facts(line: str, language: str | None) -> CallFacts:
    return CallFacts(
        call=CallId("c1"),
        started=datetime(2026, 3, 2, tzinfo=UTC),
        direction=Direction.INBOUND,
        line=line,
        kind=LineKind.CUSTOMER_FACING,
        controller="Voorbeeld Energie",
        client=None,
        campaign=None,
        queue=None,
        duty=None,
        must_record=False,
        parties=(),
        language=language,
        regulation=None,
        lines=Version("l"),
        people=Version("p"),
    )


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [(None, "nl"), ("", "nl"), ("nl", "nl"), ("en", "en"), ("EN-gb", "en"), ("en_US", "en"), ("fr", None)],
)
def test_the_header_chooses_the_language_and_a_missing_one_blocks(
    tmp_path: Path, asked: str | None, spoken: str | None
) -> None:
    config = load(site(tmp_path))
    library = load_for(config)
    assert language_for(config.lines.line["support"], asked) == spoken
    prompt = prompt_for(config, library, facts("support", asked), {"coaching"}, {Use.RECORD})
    assert (prompt.language if prompt else None) == spoken


@pytest.mark.parametrize(
    ("line", "purposes", "uses"),
    [
        ("support", {"coaching", "assessment"}, {Use.RECORD}),
        ("support", {"coaching"}, {Use.RECORD, Use.LISTEN}),
        ("default", {"coaching"}, {Use.RECORD}),
    ],
)
def test_no_prompt_covers_more_than_it_says(
    tmp_path: Path, line: str, purposes: set[str], uses: set[Use]
) -> None:
    config = load(site(tmp_path))
    assert prompt_for(config, load_for(config), facts(line, None), purposes, uses) is None
