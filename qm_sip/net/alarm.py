"""The clock of the calls: wakes the switchboard when something of it is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Sleeper(Protocol):
    """Whoever says when it wants to be woken."""

    def next_timer(self) -> float | None: ...

    def advance(self, now: float) -> None: ...


class Alarm:
    """One timer of the event loop. `set` again whenever something may have changed; `after` follows each ring."""

    def __init__(self, sleeper: Sleeper, after: Callable[[], None]) -> None:
        self._sleeper, self._after = sleeper, after
        self._due: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self) -> None:
        due = self._sleeper.next_timer()
        if due == self._due:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        self._handle = None
        if due is not None:
            wait = max(0.0, due - time.monotonic())
            self._handle = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        self._due, self._handle = None, None
        try:
            self._sleeper.advance(time.monotonic())
        finally:
            self._after()  # sets the next alarm: whatever went wrong, others wait for theirs
