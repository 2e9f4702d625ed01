"""What the catalog must know in the end, however long its disk is full: kept in order, and tried again (I8, I9).

While there is room a change goes straight to the catalog's writer. The first that finds the disk full, and every
one that comes after it, waits here; nothing overtakes, so that a call cannot end before it began.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from qm_sip.recorder.writer import is_storage_trouble

log = logging.getLogger(__name__)

Change = Callable[[], "Future[Any]"]
Report = Callable[[BaseException | None], None]

RETRY = 5.0  # seconds between two looks at a full disk
MOST = 100_000  # changes that wait; a few kilobytes each


class Backlog:
    """Used from the event loop only; reports are made there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Change, Report]] = deque()
        self._trouble: BaseException | None = None  # why changes wait, while they do
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> BaseException | None:
        """Why nothing can be written just now, or None."""
        return self._trouble

    def make(self, change: Change, report: Report, *, only_trouble: bool = False) -> None:
        """Make a change, sooner or later. `report` is told when it is made, or why it never can be; `only_trouble`:
        that all went well it need not be told, so the loop is not woken for it.
        """
        if self._trouble is not None:
            self._wait(change, report)
            return

        def done(future: Future[Any]) -> None:
            if only_trouble and future.exception() is None:
                return
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
                self._loop.call_soon_threadsafe(self._done, change, report, future.exception())

        change().add_done_callback(done)

    def _done(self, change: Change, report: Report, error: BaseException | None) -> None:
        if error is None or not is_storage_trouble(error):
            report(error)
        else:
            self.keep(change, report, error)

    def keep(self, change: Change, report: Report, error: BaseException) -> None:
        """The disk had no room for this change: it waits from now on."""
        if self._trouble is None:
            log.error(
                "the catalog cannot be written (%s): what it must know waits, and is tried again", error
            )
            self._trouble = error
            self._task = self._loop.create_task(self._drain())
        self._wait(change, report)

    def _wait(self, change: Change, report: Report) -> None:
        if len(self._waiting) < MOST:
            self._waiting.append((change, report))
        else:
            report(self._trouble)

    async def _drain(self) -> None:
        while self._waiting:
            await asyncio.sleep(RETRY)
            await self._try()
        self._trouble = None
        log.info("the catalog can be written again, and knows all")

    async def _try(self) -> None:
        """Make what waits, until the disk is full again."""
        while self._waiting:
            change, report = self._waiting[0]
            error: BaseException | None = None
            try:
                await asyncio.wrap_future(change())
            except Exception as problem:
                if is_storage_trouble(problem):
                    return
                error = problem
            self._waiting.popleft()
            report(error)

    async def stop(self) -> None:
        """Try a last time. What is lost then is said; recovery ends the calls it belonged to."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._try()
        if self._waiting:
            log.error("the disk is full: the catalog will never know of %d changes", len(self._waiting))
