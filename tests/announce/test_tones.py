"""Somebody listens to the tones: which notes, how long, how loud, and that nothing clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qm_sip.announce.build import build_all
from qm_sip.announce.prompts import NO_LANGUAGE, TONES, Part, Sidecar, load, read_sidecar
from qm_sip.announce.tones import sound
from qm_sip.announce.wav import RATE, read_wav
from qm_sip.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "prompts" / TONES
LOUD, SOFT = -16.0, -26.0

# What is to be heard: notes as (Hz at the beginning, Hz at the end, ms, dBFS).
LOW, SOFTLY = (392, 392, 200, LOUD), (600, 600, 120, SOFT)
HEARD = {
    "T-connected": [(880, 880, 150, LOUD)],
    "T-A1": [(660, 660, 200, LOUD)],
    "T-A3": [LOW, LOW],
    "T-A4": [(523, 523, 150, LOUD), (784, 784, 200, LOUD)],
    "T-A5": [(784, 784, 150, LOUD), (523, 523, 200, LOUD)],
    "T-A6": [(523, 523, 150, LOUD), (784, 784, 200, LOUD)],
    "T-A7": [(392, 392, 800, LOUD)],
    "T-A8": [SOFTLY] * 3,
    "T-A9": [SOFTLY] * 3 + [(600, 600, 400, LOUD)],
    "T-A10": [SOFTLY] * 4,
    "T-A11": [SOFTLY] * 3,
    "T-A12": [(784, 523, 400, LOUD)],
    "T-A14": [(392, 392, 800, LOUD)],
    "T-A15": [(392, 392, 300, LOUD)],
}


def shipped(tone: str) -> NDArray[np.float64]:
    return sound(read_sidecar(SHIPPED / f"{tone}.toml").tone) / 32767


def notes(samples: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The stretches between silences of at least 10 ms."""
    loud = np.flatnonzero(np.abs(samples) > 1e-4)
    breaks = np.flatnonzero(np.diff(loud) > RATE // 100)
    return [samples[part[0] : part[-1] + 1] for part in np.split(loud, breaks + 1)]


def pitch(samples: NDArray[np.float64]) -> float:
    """The strongest frequency, by its spectrum."""
    size = 1 << 16
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    return float(np.argmax(spectrum)) * RATE / size


def level(samples: NDArray[np.float64]) -> float:
    """Of the middle, where no fade is, as the level of a sine."""
    middle = samples[80:-80]
    return float(20 * np.log10(np.sqrt(2 * np.mean(middle**2))))


@pytest.mark.parametrize("tone", HEARD)
def test_each_tone_sounds_as_it_is_meant(tone: str) -> None:
    heard = notes(shipped(tone))
    assert len(heard) == len(HEARD[tone])
    for note, (begins, ends, ms, dbfs) in zip(heard, HEARD[tone], strict=True):
        assert len(note) * 1000 / RATE == pytest.approx(ms, abs=2)
        assert level(note) == pytest.approx(dbfs, abs=0.5)
        edge = len(note) // 8 if begins != ends else len(note)
        assert pitch(note[:edge]) == pytest.approx(begins, abs=25 if begins != ends else 3)
        assert pitch(note[-edge:]) == pytest.approx(ends, abs=25 if begins != ends else 3)


def test_every_tone_that_is_shipped_is_listened_to() -> None:
    assert {path.stem for path in SHIPPED.glob("*.toml")} == set(HEARD)


@pytest.mark.parametrize("tone", HEARD)
def test_nothing_clicks(tone: str) -> None:
    """A click is a jump: energy far above the notes. Each note rises from nothing and falls to nothing."""
    samples = shipped(tone)
    assert max(abs(samples[0]), abs(samples[-1])) < 1e-3
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    above = spectrum[np.fft.rfftfreq(len(samples), 1 / RATE) > 2000].sum()
    assert 10 * np.log10(above / spectrum.sum()) < -60


def test_a_tone_without_its_fades_would_click() -> None:
    """The test above can fail: the same notes, cut off at once."""
    bare = np.concatenate([np.sin(2 * np.pi * 392.7 * np.arange(1603) / RATE), np.zeros(800)])
    spectrum = np.abs(np.fft.rfft(bare)) ** 2
    above = spectrum[np.fft.rfftfreq(len(bare), 1 / RATE) > 2000].sum()
    assert 10 * np.log10(above / spectrum.sum()) > -60


@pytest.mark.parametrize("tone", HEARD)
def test_a_tone_lasts_three_seconds_at_most(tone: str) -> None:
    assert len(shipped(tone)) <= 3 * RATE


def test_a_tone_that_is_too_long_is_refused(tmp_path: Path) -> None:
    long = "{ hz = 600, ms = 1600 }"
    with pytest.raises(ConfigError, match="a tone lasts at most 3000 ms"):
        read_sidecar(written(tmp_path, f"tone = [{long}, {long}]"))


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ('tone = [{ hz = 600, ms = 100 }]\ntext = "Hallo."', "a text or a tone, one of them"),
        ("", "a text or a tone, one of them"),
        ("tone = []", "a text or a tone, one of them"),
        ('tone = [{ hz = 600, ms = 100 }]\nlanguage = "nl"', "has no language"),
        ('text = "Hallo."', "not the folder's name"),
        ("tone = [{ hz = 60, ms = 100 }]", "greater than or equal to 300"),
        ("tone = [{ hz = 600, ms = 100, level_dbfs = 0 }]", "less than or equal to -6"),
        ("tone = [{ hz = 600 }]", "Field required"),
        ('tone = [{ hz = 600, ms = 100 }]\nuses = ["listen"]', "agent tells of no use"),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path: Path, what: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_sidecar(written(tmp_path, what))


def test_a_tone_tells_no_customer_anything(tmp_path: Path) -> None:
    notice = (
        'identity = "B.V."\nuses = ["record"]\npurposes = ["coaching"]\nsays = "does"\ntone = [{ ms = 100 }]'
    )
    with pytest.raises(ConfigError, match="a tone tells nobody anything"):
        read_sidecar(written(tmp_path, notice, kind="customer-notice"))


def test_a_tone_of_spoken_languages_folder_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "tone = [{ hz = 600, ms = 100 }]")
    (tmp_path / "nl").mkdir()
    with pytest.raises(ConfigError, match="put it into tones/"):
        read_sidecar(path.rename(tmp_path / "nl" / path.name))


def written(directory: Path, lines: str, kind: str = "agent") -> Path:
    path = directory / TONES / "T-x.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'id = "T-x"\nkind = "{kind}"\n{lines}\n')
    return path


def test_tones_are_built_and_found_without_a_language(tmp_path: Path) -> None:
    path = written(tmp_path, "tone = [{ hz = 600, ms = 100 }, { ms = 50 }]")
    assert [built.action for built in build_all(tmp_path)] == ["built"]
    assert [built.action for built in build_all(tmp_path)] == ["unchanged"]
    found = load(tmp_path).tone("T-x")
    assert found is not None
    assert (found.language, found.duration, found.uses) == (NO_LANGUAGE, 0.15, frozenset())
    assert found.text == "600 Hz 100 ms at -16 dBFS, pause 50 ms"
    path.write_text(path.read_text().replace("600", "500"))
    with pytest.raises(ConfigError, match="speaks another text"):
        load(tmp_path)


def test_two_tones_that_sound_alike_are_two_prompts(tmp_path: Path) -> None:
    """A prompt is named by its bytes: one name must not stand for a coach and for a colleague."""
    for tone in ("T-A8", "T-A11"):
        (tmp_path / TONES).mkdir(exist_ok=True)
        (tmp_path / TONES / f"{tone}.toml").write_text((SHIPPED / f"{tone}.toml").read_text())
    build_all(tmp_path)
    wavs = [read_wav((tmp_path / TONES / f"{tone}.wav").read_bytes()) for tone in ("T-A8", "T-A11")]
    assert np.array_equal(wavs[0].samples, wavs[1].samples)
    assert len({prompt.digest for prompt in load(tmp_path)}) == 2


def test_a_pause_is_silence() -> None:
    assert not sound([Part(ms=100)]).any()
    assert len(sound([Part(ms=100), Part(hz=600, ms=20)])) == 960


def test_a_sidecar_says_what_its_tone_is() -> None:
    glide = Sidecar(id="x", kind="agent", tone=(Part(hz=784, to_hz=523, ms=400),))
    assert glide.spoken == "784 to 523 Hz 400 ms at -16 dBFS"
