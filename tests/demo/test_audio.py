"""The ears of the tests: what they measure is known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qm_sip.demo import audio
from tests.support.recorded import assert_absent, clear_text_in


def test_a_tones_level_is_its_peak_and_another_tone_is_absent() -> None:
    samples = audio.tone(1000, 2.0, dbfs=-12)
    assert audio.level_dbfs(samples, 1000) == pytest.approx(-12, abs=0.05)
    assert audio.loudest_dbfs(samples, 400) < -100


@pytest.mark.parametrize("begin", [0.0, 0.37, 1.5])
def test_a_short_tone_anywhere_is_found_as_loud_as_it_is(begin: float) -> None:
    """The measure behind "is nowhere in there" must not average a tenth of a second away."""
    samples = audio.tone(1000, 2.0)
    short = audio.tone(400, 0.15, dbfs=-30)
    at = round(begin * audio.RATE)
    samples[at : at + len(short)] += short
    assert audio.loudest_dbfs(samples, 400) == pytest.approx(-30, abs=1.5)
    assert audio.level_dbfs(samples, 400) < -45


@pytest.mark.parametrize("length", [1.0, 1.2, 1.49, 1.5, 1.99])
def test_a_short_tone_near_the_end_is_found_whatever_the_length(length: float) -> None:
    """The windows must reach the end, also where they do not come out even."""
    samples = np.zeros(round(length * audio.RATE))
    samples[-2000:-400] = audio.tone(400, 0.2)
    assert audio.loudest_dbfs(samples, 400, window_s=1.0) > -60


def test_what_is_nowhere_is_looked_for_in_something() -> None:
    long = audio.tone(1000, 1.0)
    assert_absent(long, 400)
    for samples, tones in ((np.zeros(0), [400]), (long[:800], [400]), (long, [])):
        with pytest.raises(AssertionError):
            assert_absent(samples, *tones)


def test_clear_text_is_looked_for_in_files_that_there_are(tmp_path: Path) -> None:
    for texts in ((), ("secret",), ("",)):
        with pytest.raises(AssertionError):
            clear_text_in(tmp_path, *texts)
    (tmp_path / "one").write_text("a secret")
    assert len(clear_text_in(tmp_path, "secret")) == 1 and clear_text_in(tmp_path, "other") == []


def test_when_a_tone_begins_and_ends() -> None:
    samples = np.concatenate([np.zeros(4000), audio.tone(700, 1.0), np.zeros(2000)])
    assert audio.first_heard(samples, 700) == pytest.approx(0.5, abs=0.03)
    assert audio.last_heard(samples, 700) == pytest.approx(1.5, abs=0.03)
    assert audio.first_heard(samples, 900) is None
    assert audio.tones_heard(samples, [700, 900]) == {700}


def test_nothing_heard_is_silence() -> None:
    assert audio.level_dbfs(np.zeros(0), 400) == audio.SILENCE_DBFS
    assert not audio.hears(np.zeros(8000), 400)


def test_a_voice_is_recognised_with_a_frame_lost_and_another_voice_is_not(tmp_path: Path) -> None:
    said = audio.read_wav(audio.speech(tmp_path / "a.wav", "Een vraag over mijn rekening.", voice="nl+m3"))
    other = audio.read_wav(audio.speech(tmp_path / "b.wav", "Een vraag over mijn rekening.", voice="nl+f2"))
    noise = np.random.default_rng(1).normal(0, 0.02, 2 * audio.RATE)
    heard = np.concatenate([said, said])[4321 : 4321 + 2 * audio.RATE]
    heard = np.concatenate([heard[:9000], heard[9160:]])
    assert audio.recognises(heard + noise[: len(heard)] / 4, said)
    assert not audio.recognises(heard, other)
    assert not audio.recognises(noise, said)
    assert not audio.recognises(np.zeros(16000), said)


def test_speech_is_telephone_audio(tmp_path: Path) -> None:
    samples = audio.read_wav(audio.speech(tmp_path / "x.wav", "Goedemiddag."))
    assert 0.3 < len(samples) / audio.RATE < 3
    assert float(np.max(np.abs(samples))) > 0.05
