"""The reaper: does what `retention` says is due, at the start, whenever something falls due, and every hour.

A purpose whose time has passed loses its wrapped key; with the last one the recording is destroyed; with the last
recording, who took part in the call and when. What it does is logged in numbers, and certified in the catalog.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from qm_sip.config import Config
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.clock import Clock
from qm_sip.recorder.files import Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.pool import StorageTrouble
from qm_sip.recorder.retention import Due, forgettable, schedule
from qm_sip.recorder.rows import UNFINISHED

log = logging.getLogger(__name__)

EVERY = 3600.0  # seconds between two passes, if nothing falls due earlier
SOONEST = 1.0
GRACE = timedelta(minutes=5)  # due for longer than this is overdue
FRESH = 60.0  # seconds for which the answer to "is anything overdue?" is good
NO_ROW = "no-row"  # a journal was set aside that nobody entered: it goes at the ceiling, counted from its last write


@dataclass
class Reaped:
    """What one pass did."""

    purposes: int = 0
    recordings: int = 0
    calls: int = 0
    failed: int = 0
    next: datetime | None = field(default=None)  # when something falls due


class Reaper:
    """Used from the event loop; reading is done on a thread."""

    def __init__(
        self, catalog: Catalog, store: Store, finisher: Finisher, settings: Callable[[], Config]
    ) -> None:
        self._catalog, self._store, self._finisher, self._settings = catalog, store, finisher, settings
        self._busy = asyncio.Lock()
        self._clock = Clock()
        self._overdue = (-FRESH, 0)

    async def schedule(self) -> list[Due]:
        """When everything that is kept will go, if nothing changes; the nearest first."""
        return await asyncio.to_thread(self._schedule)

    def _schedule(self) -> list[Due]:
        found = sorted({path.stem for path in self._store.quarantine.glob("*.qmj")})
        orphans = [one for name in found if (one := self._orphan(name)) is not None]
        return sorted([*schedule(self._catalog.kept(*found)), *orphans], key=lambda due: due.at)

    def _orphan(self, recording: str) -> Due | None:
        """A journal in quarantine that has no row."""
        if self._catalog.recording(recording) is not None:
            return None
        try:
            written = self._store.set_aside_as(recording).stat().st_mtime
        except FileNotFoundError:
            return None
        ceiling = self._settings().regulation.clocks.quality_ceiling
        return Due(recording, "", NO_ROW, ceiling.after(datetime.fromtimestamp(written, UTC)), last=True)

    async def overdue(self, now: datetime) -> int:
        """How much should be gone and is not. Must be 0."""
        asked, known = self._overdue
        if time.monotonic() - asked < FRESH:
            return known
        late = sum(1 for due in await self.schedule() if due.at + GRACE <= now)
        self._overdue = (time.monotonic(), late)
        return late

    async def run(self, now: datetime) -> Reaped:
        """One pass."""
        async with self._busy:
            plan, done = await self.schedule(), Reaped()
            todo = sorted((due for due in plan if due.at <= now), key=lambda due: due.recording)
            for recording, ends in groupby(todo, key=lambda due: due.recording):
                await self._end(recording, list(ends), done)
            await self._forget(now, done)
            self._overdue = (-FRESH, 0)
            done.next = next((due.at for due in plan if due.at > now), None)
        if done.purposes or done.calls or done.failed:
            log.info(
                "retention: %d purposes ended, %d recordings destroyed, %d calls forgotten; %d could not be",
                done.purposes, done.recordings, done.calls, done.failed,
            )  # fmt: skip
        return done

    async def _end(self, recording: str, ends: Sequence[Due], done: Reaped) -> None:
        """End what is due of one recording, all of it or some of its purposes."""
        last = next((due for due in ends if due.last), None)
        try:
            if last is not None:
                rules = {due.purpose: due.rule for due in ends}
                await self._finisher.destroy(recording, last.rule, rules)
                done.recordings += 1
            elif not await self._settled(recording):
                return  # its journal is still to be rendered; then its turn comes
            else:
                for due in ends:
                    await self._finisher.end_purpose(recording, due.purpose, due.rule)
            done.purposes += len(ends)
        except (OSError, sqlite3.Error, StorageTrouble) as error:
            log.error("recording %s is due and could not be destroyed: %s", recording, error)
            done.failed += 1

    async def _settled(self, recording: str) -> bool:
        row = await asyncio.to_thread(self._catalog.recording, recording)
        return row is not None and row.state not in UNFINISHED

    async def _forget(self, now: datetime, done: Reaped) -> None:
        """Take away who took part in calls of which nothing is left to hear."""
        keep = self._settings().regulation.clocks.ledger_parties.after
        calls = await asyncio.to_thread(lambda: forgettable(self._catalog.ended_calls(), now, keep))
        try:
            await _all(asyncio.wrap_future(self._catalog.forget_call(call)) for call in calls)
            done.calls += len(calls)
        except sqlite3.Error as error:
            log.error("calls are due to be forgotten and could not be: %s", error)
            done.failed += len(calls)

    async def keep_running(self) -> None:
        """Until it is cancelled. An error of one pass does not end the others."""
        while True:
            wait = EVERY
            try:
                if (doubtful := self._doubts(datetime.now(UTC), time.clock_gettime(time.CLOCK_BOOTTIME))) > 0:
                    await asyncio.sleep(min(EVERY, doubtful))
                    continue
                done = await self.run(datetime.now(UTC))
                if done.next is not None:
                    until = (done.next - datetime.now(UTC)).total_seconds()
                    wait = min(EVERY, max(SOONEST, until))
            except (
                Exception
            ):  # a row that cannot be read must not end forgetting for good; it is overdue, and shows
                log.exception("retention: a pass failed")
            await asyncio.sleep(wait)

    def _doubts(self, wall: datetime, counted: float) -> float:
        """Seconds for which nothing is destroyed by itself, because the clock has leapt ahead."""
        if (leap := self._clock.leapt(wall, counted)) is not None:
            log.error(
                "the clock has leapt ahead by %s: nothing is destroyed by itself for a day, unless it is set back; if"
                " it is right now, `qm-sip retention run` does what is due",
                leap,
            )
        return self._clock.waits(counted)


async def _all(changes: Iterable[asyncio.Future[None]]) -> None:
    for change in list(changes):
        await change
