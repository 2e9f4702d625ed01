"""Timers in a heap: whoever wants to be woken says when, and nobody ever scans."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Wake = Callable[[float], None]
_FEW = 1024  # so many shells are not worth a sweep


class Timer:
    """One appointment. `cancel` lets go of everything it held; the heap forgets the empty shell when it
    is due.
    """

    __slots__ = ("due", "wake")

    def __init__(self, due: float, wake: Wake) -> None:
        self.due = due
        self.wake: Wake | None = wake

    def cancel(self) -> None:
        """It will not ring."""
        self.wake = None

    @property
    def running(self) -> bool:
        """Whether it will still ring."""
        return self.wake is not None


class Timers:
    """All appointments of one user agent."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._most = _FEW

    def start(self, due: float, wake: Wake) -> Timer:
        """Call `wake(now)` at `due`."""
        timer = Timer(due, wake)
        if len(self._heap) >= self._most:
            self._sweep()
        heapq.heappush(self._heap, (due, next(self._order), timer))
        return timer

    def _sweep(self) -> None:
        """Empty shells go as soon as they are half of all: a session timer of a call that is over may be due in half
        an hour. In place, for `advance` may be at it.
        """
        self._heap[:] = [entry for entry in self._heap if entry[2].wake is not None]
        heapq.heapify(self._heap)
        self._most = max(_FEW, 2 * len(self._heap))

    def next(self) -> float | None:
        """When the next one is due, or None."""
        heap = self._heap
        while heap and heap[0][2].wake is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def advance(self, now: float) -> None:
        """Ring all that are due, in the order of their time. What they start may be due at once too."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if (wake := timer.wake) is not None:
                timer.wake = None
                wake(now)

    def __len__(self) -> int:
        return sum(timer.running for _, _, timer in self._heap)
