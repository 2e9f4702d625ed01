"""Timers in a heap: whoever wants to be woken says when, and nobody ever scans."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Wake = Callable[[float], None]


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

    def start(self, due: float, wake: Wake) -> Timer:
        """Call `wake(now)` at `due`."""
        timer = Timer(due, wake)
        heapq.heappush(self._heap, (due, next(self._order), timer))
        return timer

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
