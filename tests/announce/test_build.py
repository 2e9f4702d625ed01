"""espeak-ng speaks the shipped texts: same bytes each time, telephone level, the length people expect."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from qm_sip.announce.build import build, build_all, resample, speak
from qm_sip.announce.prompts import Sidecar, load, read_sidecar
from qm_sip.announce.wav import read_wav
from qm_sip.errors import ConfigError, StartError

CONFIG = Path(__file__).parents[2] / "config"


def copied(tmp_path: Path, *ids: str) -> Path:
    """A prompt directory with only these sidecars, in both languages."""
    for language in ("nl", "en"):
        (tmp_path / language).mkdir()
        for prompt_id in ids:
            shutil.copy(CONFIG / "prompts" / language / f"{prompt_id}.toml", tmp_path / language)
    return tmp_path


def test_what_is_built_can_be_loaded_and_lasts_as_long_as_it_should(tmp_path: Path) -> None:
    """Seconds at 160 words a minute, nl / en: K1 short 8.8 / 6.9, K6 9.6 / 7.4, K7 8.3 / 7.5."""
    expected = {"K1-short": (8.8, 6.9), "K6": (9.6, 7.4), "K7": (8.3, 7.5)}
    directory = copied(tmp_path, *expected)
    assert {built.action for built in build_all(directory)} == {"built"}
    library = load(directory)
    for prompt_id, seconds in expected.items():
        for language, wanted in zip(("nl", "en"), seconds, strict=True):
            prompt = library.get(prompt_id, language)
            assert prompt.duration == pytest.approx(wanted, abs=0.5)
            assert not prompt.own_recording


def test_the_same_text_gives_the_same_bytes(tmp_path: Path) -> None:
    directory = copied(tmp_path, "A0")
    build_all(directory)
    first = (directory / "nl/A0.wav").read_bytes()
    assert {built.action for built in build_all(directory)} == {"unchanged"}
    (directory / "nl/A0.wav").unlink()
    build_all(directory)
    assert (directory / "nl/A0.wav").read_bytes() == first


def test_a_changed_text_is_built_anew(tmp_path: Path) -> None:
    directory = copied(tmp_path, "A0")
    build_all(directory)
    sidecar = directory / "nl/A0.toml"
    sidecar.write_text(sidecar.read_text().replace("De klant", "Onze klant"))
    assert [b.action for b in build_all(directory) if b.path.parent.name == "nl"] == ["built"]


def test_an_administrators_own_recording_is_left_alone(tmp_path: Path) -> None:
    directory = copied(tmp_path, "A0")
    build_all(directory)
    (directory / "en/A0.wav").write_bytes(b"even if it is not usable")
    sidecar = directory / "nl/A0.toml"
    sidecar.write_text(sidecar.read_text() + 'recorded_by = "our own voice"\n')
    ours = (directory / "nl/A0.wav").read_bytes()
    assert {built.action for built in build_all(directory)} == {"own-recording"}
    assert (directory / "en/A0.wav").read_bytes() == b"even if it is not usable"
    assert (directory / "nl/A0.wav").read_bytes() == ours


def test_a_length_is_kept_to_the_sample(tmp_path: Path) -> None:
    path = CONFIG / "examples/load/prompts/en/load.toml"
    assert len(speak(read_sidecar(path))) == 8000


def test_a_text_that_does_not_fit_its_length_is_an_error() -> None:
    sidecar = Sidecar(id="x", language="en", kind="agent", text="Far too long for this.", length=0.2)
    with pytest.raises(StartError, match=r"x \(en\) cannot be said in 0\.2 s"):
        speak(sidecar)


def test_the_level_is_that_of_telephone_speech() -> None:
    speech = speak(read_sidecar(CONFIG / "prompts/nl/A0.toml")) / 32767
    active = speech[np.abs(speech) > 0.01 * np.abs(speech).max()]
    level = 20 * np.log10(np.sqrt(np.mean(active**2)))
    assert level == pytest.approx(-20, abs=2)
    assert np.abs(speech).max() < 0.9


@pytest.mark.parametrize(("hertz", "gain_db"), [(300, 0), (1000, 0), (3000, 0), (4500, -60), (8000, -60)])
def test_resampling_keeps_the_telephone_band_and_nothing_above(hertz: int, gain_db: int) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(22050) / 22050)
    out = resample(tone, 22050, 8000)
    assert len(out) == 8000
    level = 20 * np.log10(np.sqrt(2 * np.mean(out[500:-500] ** 2)) + 1e-9)
    assert level < gain_db if gain_db else level == pytest.approx(0, abs=0.1)


def test_an_unknown_id_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such prompt: K99"):
        build_all(copied(tmp_path, "A0"), frozenset({"K99"}))


def test_without_espeak_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sidecar = CONFIG / "prompts/nl/A0.toml"
    with pytest.raises(StartError, match="apt install espeak-ng"):
        build(tmp_path / "A0.toml", read_sidecar(sidecar))


def test_a_voice_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(StartError, match="voice 'zzz'"):
        speak(Sidecar(id="x", language="zzz", kind="agent", text="Hallo."))


def test_a_built_file_carries_the_digest_of_its_text(tmp_path: Path) -> None:
    directory = copied(tmp_path, "A0")
    build_all(directory)
    sidecar = read_sidecar(directory / "nl/A0.toml")
    assert read_wav((directory / "nl/A0.wav").read_bytes()).comment == sidecar.text_digest
