"""From a closed journal to a sealed recording, in an order in which a crash at any point loses nothing.

    render (file synced)  ->  catalog entry (durable)  ->  journal key destroyed  ->  journal destroyed

Until the catalog entry stands, the journal is the recording and everything else can be thrown away and
done again; from then on the sealed file is, and the journal is only still there. `recovery.py` picks up
wherever this ended.

Destroying is the other way round, and comes before anything else:

    tomb (synced)  ->  nobody works on it any more  ->  the row says so, wrapped keys gone (durable)
                   ->  key, journal, files gone (synced)  ->  tomb gone

Where the disk is too full to write the row, files and keys go first and make room for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import Store
from qm_sip.recorder.jobs import RenderJob, RenderResult
from qm_sip.recorder.pool import FINAL, PoolStopped, RendererPool, RenderFailed, StorageTrouble
from qm_sip.recorder.rows import Recording, State
from qm_sip.recorder.writer import is_storage_trouble

log = logging.getLogger(__name__)

NOTHING_KEPT = "nothing-kept"
ENTER_WAIT = 5.0  # seconds to enter in the catalog what was rendered, when the server stops
RETRY_FIRST, RETRY_MOST = 5.0, 300.0  # seconds between tries while the disk has no room


class Finisher:
    """Finishes recordings, in the background if asked to; what it leaves, recovery does."""

    def __init__(self, catalog: Catalog, store: Store, pool: RendererPool) -> None:
        self._catalog, self._store, self._pool = catalog, store, pool
        self._tasks: dict[str, asyncio.Task[State | None]] = {}
        self._condemned: dict[str, str] = {}  # why; known here before the tomb is on the disk
        self._destroying: dict[str, asyncio.Task[State]] = {}
        self._handed_over: set[str] = set()  # to be destroyed, by who was finishing them
        self._stopping = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Recordings that are not finished yet."""
        return len(self._tasks)

    def start(self, recording: str) -> asyncio.Task[State | None]:
        """Finish a recording in the background. Asking twice for the same is asking once."""
        if recording not in self._tasks:
            task = asyncio.create_task(self.finish(recording), name=f"finish {recording}")
            self._tasks[recording] = task
            task.add_done_callback(lambda done: self._done(recording, done))
        return self._tasks[recording]

    def _done(self, recording: str, task: asyncio.Task[State | None]) -> None:
        del self._tasks[recording]
        if not task.cancelled() and task.exception() is not None:
            log.error("recording %s could not be finished", recording, exc_info=task.exception())

    async def finish(self, recording: str) -> State | None:
        """Finish one recording, waiting for room on the disk; its state, or None if it was left undone."""
        delay = RETRY_FIRST
        while True:
            try:
                return await self.attempt(recording)
            except StorageTrouble as trouble:
                log.error("recording %s waits: %s", recording, trouble)
                if await self._stopped_within(delay):
                    return None
                delay = min(delay * 2, RETRY_MOST)
            except PoolStopped:
                return None

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def attempt(self, recording: str) -> State:
        """Try once to finish a recording."""
        row = await asyncio.to_thread(self._catalog.recording, recording)
        if row is None:
            raise LookupError("a recording that is not in the catalog cannot be finished")
        if self._is_condemned(recording):
            return await self._hand_over(recording)
        if row.state in (State.OPEN, State.CLOSED):
            return await self._render(row)
        if row.state in (State.SEALED, State.DESTROYED):
            await asyncio.to_thread(self._store.destroy_journal, recording)
        return row.state

    async def _render(self, row: Recording) -> State:
        job = RenderJob(
            recording=row.id,
            journal=self._store.journal(row.id),
            key=self._store.key(row.id),
            output=self._store.new_sealed(row.id),
            recipients=row.recipients,
        )
        try:
            result = await self._pool.render(job)
        except RenderFailed as problem:
            if self._is_condemned(row.id):
                return await self._hand_over(row.id)
            return await self._give_up(row.id, problem)
        if self._is_condemned(row.id):
            return await self._hand_over(row.id)
        return await self._enter(job, result)

    async def _hand_over(self, recording: str) -> State:
        """It was condemned while it waited or was rendered."""
        self._handed_over.add(recording)
        try:
            return await self.destroy(recording)
        finally:
            self._handed_over.discard(recording)

    async def _enter(self, job: RenderJob, result: RenderResult) -> State:
        try:
            await _entered(self._catalog.rendered(result))
        except StorageTrouble:
            job.output.unlink(missing_ok=True)  # no row names it; the next try makes another
            raise
        await asyncio.to_thread(self._store.destroy_journal, job.recording)
        return State.SEALED

    async def _give_up(self, recording: str, problem: RenderFailed) -> State:
        """Settle what cannot be rendered: first in the catalog, then on the disk."""
        catalog, store = self._catalog, self._store
        if problem.code == "missing" and store.journal(recording).exists():  # its key died with the power
            await _entered(catalog.sealed_journal(recording))
            await asyncio.to_thread(store.keep_as_sealed, recording)
            return State.SEALED_JOURNAL
        if problem.code in FINAL:
            reason = NOTHING_KEPT if problem.code == "empty" else "journal-missing"
            await _entered(catalog.failed(recording, reason))
            await asyncio.to_thread(store.destroy_journal, recording)
            return State.FAILED
        log.error("recording %s is quarantined: %s", recording, problem)
        await _entered(catalog.quarantined(recording, f"render-{problem.code}"))
        await asyncio.to_thread(store.set_aside, recording)
        return State.QUARANTINED

    # ------------------------------------------------------------------- destroying

    def _is_condemned(self, recording: str) -> bool:
        return recording in self._condemned or self._store.tomb(recording).exists()

    async def condemn(self, recording: str, reason: str) -> None:
        """It has to go: nothing renders it from now on; its tomb is durable when this returns."""
        self._condemned.setdefault(recording, reason)
        await asyncio.to_thread(self._store.condemn, recording, reason)

    async def destroy(
        self, recording: str, reason: str = "", rules: Mapping[str, str] | None = None
    ) -> State:
        """Destroy a recording, whatever state it is in; done when nothing is left of it and that is durable. Raises
        StorageTrouble or OSError if it is not: then its tomb stands. Asking twice is asking once.
        """
        if recording not in self._destroying:
            task = asyncio.create_task(self._destroy(recording, reason, rules), name=f"destroy {recording}")
            self._destroying[recording] = task
            task.add_done_callback(lambda done: self._destroying.pop(recording, None))
        return await asyncio.shield(self._destroying[recording])

    async def _destroy(self, recording: str, reason: str, rules: Mapping[str, str] | None) -> State:
        store = self._store
        why = self._condemned.setdefault(
            recording, reason or await asyncio.to_thread(store.epitaph, recording)
        )
        with contextlib.suppress(OSError):  # no room even for that: what follows makes some
            if not store.tomb(recording).exists():
                await asyncio.to_thread(store.condemn, recording, why)
        await self._let_go(recording)
        try:
            await _entered(self._catalog.destroyed(recording, why, datetime.now(UTC), rules))
        except StorageTrouble:
            await asyncio.to_thread(store.erase, recording)
            await asyncio.to_thread(store.give_up_reserve)
            await _entered(self._catalog.destroyed(recording, why, datetime.now(UTC), rules))
        await asyncio.to_thread(store.erase, recording)
        await asyncio.to_thread(store.remove_tomb, recording)
        self._condemned.pop(recording, None)
        await asyncio.to_thread(store.keep_reserve)
        return State.DESTROYED

    async def _let_go(self, recording: str) -> None:
        """Stop whoever works on it. Its renderer is killed; a file that is just being moved is found where it went,
        since `erase` looks at the journal first.
        """
        task = self._tasks.get(recording)
        if task is not None and recording not in self._handed_over:
            task.cancel()
            await asyncio.wait([task])

    async def end_purpose(self, recording: str, purpose: str, rule: str) -> None:
        """One of several purposes has ended: its recipients cannot open the recording any more."""
        await asyncio.to_thread(self._store.unwrap, recording, purpose)
        await _entered(self._catalog.end_purpose(recording, purpose, rule, datetime.now(UTC)))

    async def stop(self, wait: float = 0.0) -> None:
        """Stop: running renders get `wait` seconds, what they gave is entered and its journal destroyed; the rest is
        left to recovery.
        """
        self._stopping.set()
        await self._pool.stop(wait)
        if self._tasks and wait > 0:
            await asyncio.wait(self._tasks.values(), timeout=ENTER_WAIT)
        for task in list(self._tasks.values()):
            task.cancel()
        begun = (*self._tasks.values(), *self._destroying.values())
        await asyncio.gather(*begun, return_exceptions=True)


async def _entered(change: Future[Any]) -> None:
    """Wait until the catalog has it. A full disk is no verdict on the recording: StorageTrouble."""
    try:
        await asyncio.wrap_future(change)
    except sqlite3.Error as error:
        if is_storage_trouble(error):
            raise StorageTrouble(f"the catalog could not be written: {error}") from None
        raise
