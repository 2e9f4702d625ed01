"""Tones for the ear of staff in mid-call: made from the recipe of a sidecar, the same bytes each time.

Each sound begins and ends in a fade, so that nothing clicks; a pause is silence to the sample.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from qm_sip.announce.prompts import Part
from qm_sip.announce.wav import RATE

FADE = 0.005  # seconds

Samples = NDArray[np.float64]


def sound(parts: Iterable[Part]) -> NDArray[np.int16]:
    """The samples of a tone, at telephone rate."""
    whole = np.concatenate([_part(part) for part in parts])
    return np.asarray(np.rint(whole * 32767), dtype=np.int16)


def _part(part: Part) -> Samples:
    count = part.ms * RATE // 1000
    if part.hz is None:
        return np.zeros(count)
    hertz = np.linspace(part.hz, part.to_hz or part.hz, count)
    sine = np.sin(2 * np.pi * np.cumsum(hertz) / RATE)
    return np.asarray(10 ** (part.level_dbfs / 20) * sine * _fades(count))


def _fades(count: int) -> Samples:
    """One in the middle, rising from nothing and falling to nothing over 5 ms (a raised cosine)."""
    fade = np.arange(count) + 0.5
    nearest_end = np.minimum(fade, fade[::-1]) / (FADE * RATE)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(nearest_end, 1.0)))
