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

from qm_sip.announce.build import resample
from qm_sip.errors import StartError

RATE = 8000
Samples = npt.NDArray[np.float64]
SILENCE_DBFS = -120.0


def tone(hz: float, seconds: float, *, dbfs: float = -12.0) -> Samples:
    """A sine. `dbfs` is its peak against full scale, so 0.0 would be the loudest there is."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t), dtype=np.float64)


def noise(seconds: float, *, dbfs: float = -12.0, seed: int = 1) -> Samples:
    """White noise: no 20 ms of it are like any other."""
    random = np.random.default_rng(seed)
    return np.asarray(
        np.clip(random.normal(0, 10 ** (dbfs / 20), round(seconds * RATE)), -1, 1), dtype=np.float64
    )


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
    """Let espeak-ng say something into an 8 kHz WAV. Voices that differ: `nl+m3` and `nl+f2`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdin", "-w", str(path)]
    try:
        subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"espeak-ng cannot speak: {error}", remedy="apt install espeak-ng") from error
    samples, rate = soundfile.read(path, dtype="float64")
    return write_wav(path, resample(samples, rate, RATE))


# --------------------------------------------------------------------------- what is heard


PIECE_S, TAIL_S = 0.5, 2.0


def recognises(heard: Samples, said: Samples, *, least: float = 0.85) -> bool:
    """Is what was heard last a piece of what somebody says over and over again?

    G.711 leaves well over nine tenths of the likeness; another voice or text leaves 0.7 at most.
    """
    return likeness(heard[-round(TAIL_S * RATE) :], np.concatenate([said, said])) >= least


def likeness(heard: Samples, said: Samples) -> float:
    """How well the best half second of what was heard is found again in what was said: correlation, 0 to 1.

    One good half second is enough: a phone's jitter buffer drops or repeats a frame now and then, and the half
    second with that frame in it fits nowhere.
    """
    size = round(PIECE_S * RATE)
    starts = range(0, len(heard) - size + 1, size // 2)
    return max((_found(heard[start : start + size], said) for start in starts), default=0.0)


def _found(piece: Samples, said: Samples) -> float:
    """The best normalised correlation of a piece with any stretch of something longer; 0 if it is near silence."""
    size, power = len(piece), float(np.sum(piece**2))
    if len(said) < size or power < 1e-4 * size:
        return 0.0
    length = 1 << (len(said) + size - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(said, length) * np.conj(np.fft.rfft(piece, length)), length)
    norms = np.sqrt(np.maximum(_sums(said**2, size), 1e-4 * size) * power)
    return float(np.max(np.abs(products[: len(norms)]) / norms))


def _sums(values: Samples, size: int) -> Samples:
    """The sum of every stretch of `size` values."""
    total = np.concatenate([np.zeros(1), np.cumsum(values)])
    return np.asarray(total[size:] - total[:-size], dtype=np.float64)


def loudest(samples: Samples) -> float:
    """The largest sample, of full scale."""
    return float(np.max(np.abs(samples), initial=0.0))


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
    starts = [*range(0, len(samples) - size, size // 2), len(samples) - size]  # the last to the very end
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
