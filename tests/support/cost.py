"""What a piece of work costs in processor time, said so that a busy machine does not fail an innocent test.

The clock on the wall counts what others do as well, so none of this looks at it. Processor time too grows on a machine
that shares its caches: the least of a few runs is taken, and a limit that is missed all the same is stretched by how
much slower than usual a plain piece of work is at this very moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable

_USUAL = 0.004
"""Seconds for `_plain_work` on the machine that the limits of the tests were set on."""
_MOST_STRETCHED = 8.0
_TRIES = 5


def cpu(work: Callable[[], object]) -> float:
    """Processor time of this thread, without a garbage collection that others have earned."""
    collects = gc.isenabled()
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        if collects:
            gc.enable()


def least(work: Callable[[], object], tries: int = _TRIES) -> float:
    """The least of several runs: what the work costs when nobody is in its way."""
    return min(cpu(work) for _ in range(tries))


def within(seconds: float, work: Callable[[], object]) -> None:
    """Assert that work, which must be the same each time, costs no more processor time than that."""
    best = cpu(work)
    for _ in range(_TRIES):
        if best <= seconds:
            return
        best = min(best, cpu(work))
    limit = seconds * slowness()
    assert best <= limit, f"{best * 1e3:.1f} ms of processor time, {limit * 1e3:.1f} are allowed"


def slowness() -> float:
    """How many times slower than usual this machine is now; at least 1."""
    return min(max(1.0, least(_plain_work, 3) / _USUAL), _MOST_STRETCHED)


def _plain_work() -> object:
    """What readers of text do: look at characters, cut strings, fill dictionaries."""
    text = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1;rport\r\n" * 40
    found: dict[str, int] = {}
    for _ in range(40):
        for line in text.split("\r\n"):
            for char in line:
                found[char] = found.get(char, 0) + 1
            name, _, value = line.partition(":")
            found[name.lower() + value.strip()] = len(found)
    return found


# ---------------------------------------------------------------------- time in a running loop


class Ticks:
    """Time as an event loop lived through it: when the loop gets no processor, it does not tick either."""

    STEP = 0.01

    def __init__(self) -> None:
        self._count = 0

    @property
    def seconds(self) -> float:
        return self._count * self.STEP

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.STEP)
            self._count += 1


@contextlib.asynccontextmanager
async def ticking() -> AsyncIterator[Ticks]:
    """`Ticks` of the running loop. What waits for something not to come ticks on; what starves does not."""
    ticks = Ticks()
    task = asyncio.create_task(ticks._run())
    try:
        yield ticks
    finally:
        task.cancel()
