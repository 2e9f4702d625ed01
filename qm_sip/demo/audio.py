"""Sounds for phones, and ears for tests: tones and speech into WAV files, and what is heard in one.

Everything is telephone audio: 8 kHz, mono, 16 bit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 8000
Samples = npt.NDArray[np.float64]
SILENCE_DBFS = -120.0


def tone(hz: float, seconds: float, *, dbfs: float = -12.0) -> Samples:
    """A sine. `dbfs` is its peak against full scale, so 0.0 would be the loudest there is."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t), dtype=np.float64)


def write_wav(path: Path, *parts: Samples) -> Path:
    """Write the parts one after another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(parts), RATE, subtype="PCM_16")
    return path


def tone_wav(path: Path, *parts: tuple[float, float]) -> Path:
    """Write tones one after another: `tone_wav(path, (400, 3.0), (1000, 60.0))`."""
    return write_wav(path, *(tone(hz, seconds) for hz, seconds in parts))


def read_wav(path: Path) -> Samples:
    """A WAV as one channel at 8 kHz; a phone's recording is one already."""
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    if rate != RATE:
        raise ValueError(f"{path}: {rate} Hz, not {RATE}")
    return np.asarray(samples[:, 0], dtype=np.float64)


def speech(path: Path, text: str, *, voice: str = "en+m3", speed: int = 160) -> Path:
    """Let espeak-ng say something (22 kHz; a phone resamples it). Two voices: `en+m3`, `en+f3`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(path), text]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


# --------------------------------------------------------------------------- what is heard


def level_dbfs(samples: Samples, hz: float) -> float:
    """The peak level of one tone, in dB against full scale: the Fourier sum at that frequency, Hann window.

    A tone that is there all along gives its own level; of one that fills a tenth of the time, 20 dB less.
    """
    if len(samples) == 0:
        return SILENCE_DBFS
    window = np.hanning(len(samples))
    t = np.arange(len(samples)) / RATE
    amplitude = (
        2 * abs(np.sum(samples * window * np.exp(-2j * np.pi * hz * t))) / max(float(np.sum(window)), 1e-9)
    )
    return float(20 * np.log10(max(amplitude, 10 ** (SILENCE_DBFS / 20))))


def loudest_dbfs(samples: Samples, hz: float, *, window_s: float = 0.1) -> float:
    """The loudest that a tone gets in any `window_s` of it: the measure for "is nowhere in there"."""
    size = round(window_s * RATE)
    if len(samples) <= size:
        return level_dbfs(samples, hz)
    starts = range(0, len(samples) - size + 1, size // 2)
    return max(level_dbfs(samples[start : start + size], hz) for start in starts)


def hears(samples: Samples, hz: float, *, above: float = -30.0) -> bool:
    """Was this tone to be heard for at least a tenth of a second?"""
    return loudest_dbfs(samples, hz) > above


def first_heard(samples: Samples, hz: float, *, above: float = -30.0, window_s: float = 0.04) -> float | None:
    """Seconds from the start to the first window in which the tone is loud; None if it never is."""
    size, step = round(window_s * RATE), round(window_s * RATE) // 4
    for start in range(0, max(len(samples) - size, 0) + 1, step):
        if level_dbfs(samples[start : start + size], hz) > above:
            return start / RATE
    return None


def last_heard(samples: Samples, hz: float, *, above: float = -30.0, window_s: float = 0.04) -> float | None:
    """Seconds from the start to the end of the last window in which the tone is loud; None if it never is."""
    back = first_heard(samples[::-1], hz, above=above, window_s=window_s)
    return None if back is None else len(samples) / RATE - back


def tones_heard(samples: Samples, among: Sequence[float]) -> set[float]:
    """Which of some tones were to be heard."""
    return {hz for hz in among if hears(samples, hz)}
