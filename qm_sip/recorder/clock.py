"""Whether the wall clock can be believed, before anything is destroyed by it.

What has been destroyed does not come back, and a clock that was set wrong by years would have everything destroyed
within the hour. So two clocks are compared: the wall's, which can be set, and the one that counts since the machine was
switched on, sleep included, which cannot. Where the first has gone further ahead than the second, by more than `STEP`,
nothing is destroyed by itself for `PATIENCE`: time to put it right, and too little for a deadline to be missed by much
if it was right after all. A clock that is set back keeps things longer, and is not waited for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

STEP: Final = 600.0
PATIENCE: Final = 86_400.0


class Clock:
    """A plain object: both clocks' readings come in."""

    def __init__(self) -> None:
        self._wall: datetime | None = None
        self._counted = 0.0
        self._ahead = 0.0  # seconds that it has leapt and that were not taken back
        self._believed_again = 0.0

    def leapt(self, wall: datetime, counted: float) -> timedelta | None:
        """By how much it has just gone ahead; None: it has gone on as it should, or back."""
        before, self._wall = self._wall, wall
        passed, self._counted = counted - self._counted, counted
        step = (wall - before).total_seconds() - passed if before is not None else 0.0
        if abs(step) <= STEP:
            return None
        self._ahead = max(0.0, self._ahead + step)
        if self._ahead <= STEP:
            self._believed_again = counted
            return None
        if step < 0:
            return None
        self._believed_again = counted + PATIENCE
        return timedelta(seconds=round(step))

    def waits(self, counted: float) -> float:
        """Seconds until it is believed; 0: it is. What stood for so long is right."""
        left = self._believed_again - counted
        if left <= 0:
            self._ahead = 0.0
        return max(0.0, left)
