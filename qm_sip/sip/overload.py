"""Overload: new calls are refused before anything is done for them, so that those that run are not harmed.

RFC 3261 21.5.4, RFC 7339's spirit with 503 as the only means a peer needs to know. Three measures: how many calls
there are, how many came in the last second, and how late our own timers ring, which is what a machine without breath
shows first. Retry-After is short, and drawn, so that those who were refused do not come back together (RFC 5390 4.8).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from qm_sip.sip.limits import Bucket

CALM_AFTER: Final = 1.0  # seconds without a late timer until calls are taken again
CALLS, SETUPS, LAG = "calls", "setups", "lag"


@dataclass(frozen=True)
class Capacity:
    """How much is taken; 0: no limit. `max_lag` in seconds."""

    max_calls: int = 0
    max_setups: int = 0
    max_lag: float = 0.0


class Full:
    """Counts against one capacity: that of the whole program, or of one peer."""

    def __init__(self, capacity: Capacity, rng: random.Random) -> None:
        self.capacity, self._rng = capacity, rng
        self._setups: Bucket | None = None
        self._late_until = float("-inf")

    def late(self, lag: float, now: float) -> None:
        """A timer rang so many seconds after it was due."""
        if self.capacity.max_lag and lag > self.capacity.max_lag:
            self._late_until = now + CALM_AFTER

    def why_not(self, calls: int, now: float) -> str:
        """Why one call more is not taken; "" if it is."""
        if now < self._late_until:
            return LAG
        if self.capacity.max_calls and calls >= self.capacity.max_calls:
            return CALLS
        return "" if self._has_setup(now) else SETUPS

    def retry_after(self, why: str) -> int:
        """Seconds."""
        longest: Mapping[str, int] = {CALLS: 15, SETUPS: 3, LAG: 5}
        return self._rng.randint(1, longest[why])

    def _has_setup(self, now: float) -> bool:
        rate = self.capacity.max_setups
        if not rate:
            return True
        if self._setups is None:
            self._setups = Bucket(rate, rate, now)
        return self._setups.take(now)
