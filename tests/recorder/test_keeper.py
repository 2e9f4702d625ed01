"""The keeper: what a call says is written down, and what it waits for is answered."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qm_sip.call import words as w
from qm_sip.config.duration import Duration
from qm_sip.policy.facts import CallId, PersonId, Reason, Use
from qm_sip.recorder import keeper as module
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.keeper import CatalogKeeper
from qm_sip.recorder.pool import RendererPool
from qm_sip.recorder.rows import State
from tests.recorder.facts import call_row
from tests.recorder.stage import catalog_in, enter, put, store_in

CALL = CallId("call-rec-1")
NOTICES = SimpleNamespace(agent_after=Duration.parse("P1D"))
SETTINGS: Any = SimpleNamespace(
    regulation=SimpleNamespace(notices=NOTICES), people=SimpleNamespace(agent={}, monitor={})
)


class Desk:
    """A keeper on a real catalog, and what it has told."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self.store, self.catalog = store, catalog
        self.finisher = Finisher(catalog, store, RendererPool())
        self.told: asyncio.Queue[w.KeeperEvent] = asyncio.Queue()
        self.keeper = CatalogKeeper(catalog, self.finisher, lambda: SETTINGS, "run-1", self.told.put_nowait)

    async def says(self, word: w.Word) -> w.KeeperEvent:
        self.keeper.keep(word)
        return await asyncio.wait_for(self.told.get(), 20)

    async def settled(self) -> None:
        """Everything that was said is on the disk."""
        await asyncio.wrap_future(self.catalog.submit(lambda db: None))


def at_the_desk(directory: Path, act: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        desk = Desk(store_in(directory), catalog_in(directory))
        try:
            await act(desk)
        finally:
            await desk.keeper.stop()
            await desk.finisher.stop()
            desk.catalog.close()

    asyncio.run(run())


def test_an_objection_is_two_and_the_recording_is_gone_before_it_is_said_to_be(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        enter(desk.catalog, "rec-1", closed=False)
        put(desk.store, "rec-1")
        uses = frozenset({Use.RECORD, Use.LISTEN})
        desk.keeper.keep(w.NoteObjection(CALL, "customer", uses, "key", time.monotonic()))
        desk.keeper.keep(w.CondemnRecording(CALL, "rec-1", "customer-objected"))
        told = await desk.says(w.DestroyRecording(CALL, "rec-1", "customer-objected"))
        assert told == w.RecordingDestroyed(CALL, "rec-1")
        assert not desk.store.remains("rec-1")
        row = desk.catalog.recording("rec-1")
        assert row is not None
        assert (row.state, row.facts["reason"]) == (State.DESTROYED, "customer-objected")
        explained = desk.catalog.explain(CALL)
        assert explained is not None
        assert [(o["use"], o["how"]) for o in explained["objections"]] == [
            ("listen", "key"),
            ("record", "key"),
        ]
        assert desk.keeper.counts["recordings_destroyed"] == 1

    at_the_desk(tmp_path, act)


@pytest.mark.parametrize("late", [True, False], ids=["closed after", "closed before"])
def test_the_engine_may_close_the_journal_before_or_after(tmp_path: Path, late: bool) -> None:
    async def act(desk: Desk) -> None:
        enter(desk.catalog, "rec-1", closed=False)
        put(desk.store, "rec-1", seconds=30)
        lost = w.LoseRecording(CALL, "rec-1", "objected")
        desk.keeper.keep(w.CondemnRecording(CALL, "rec-1", "customer-objected"))
        if not late:
            desk.keeper.keep(lost)
            await asyncio.sleep(0.1)
        told = await desk.says(w.DestroyRecording(CALL, "rec-1", "customer-objected"))
        assert told == w.RecordingDestroyed(CALL, "rec-1")
        if late:
            put(desk.store, "rec-1")  # the engine had yet to open it
            desk.keeper.keep(lost)
            for _ in range(100):
                await asyncio.sleep(0.02)
                if not desk.store.remains("rec-1"):
                    break
        assert not desk.store.remains("rec-1")
        assert desk.keeper.counts["catalog_errors"] == 0

    at_the_desk(tmp_path, act)


def test_one_that_cannot_be_destroyed_is_said_so_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(desk: Desk) -> None:
        enter(desk.catalog, "rec-1")
        put(desk.store, "rec-1")
        destroyed, refusals = desk.catalog.destroyed, [1, 2, 3]

        def full_at_first(*args: Any) -> Future[bool]:
            if not refusals:
                return destroyed(*args)
            refusals.pop()
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            future: Future[bool] = Future()
            future.set_exception(error)
            return future

        monkeypatch.setattr(module, "RETRY_FIRST", 0.05)
        monkeypatch.setattr(desk.catalog, "destroyed", full_at_first)
        told = await desk.says(w.DestroyRecording(CALL, "rec-1", "customer-objected"))
        assert told == w.DestroyFailed(CALL, "rec-1", "StorageTrouble")
        assert await asyncio.wait_for(desk.told.get(), 5) == w.RecordingDestroyed(CALL, "rec-1")

    at_the_desk(tmp_path, act)


def test_a_session_is_on_disk_before_the_answer_and_owes_a_notice_if_anything_was_heard(
    tmp_path: Path,
) -> None:
    async def act(desk: Desk) -> None:
        desk.catalog.open_call(call_row(CALL)).result()
        now = time.monotonic()
        row = w.Listening(
            session="s-1", agent=PersonId("a1"), monitor=PersonId("m1"), account="901", device=None,
            capacity="monitor", purpose="coaching", requested=now, decided=now, allowed=True,
            reasons=(Reason("granted", "KSF15-3.3.1"),), call=CALL,
        )  # fmt: skip
        assert await desk.says(w.OpenSession(row)) == w.SessionOpened("s-1", CALL)
        assert desk.catalog.session("s-1") is not None
        desk.keeper.keep(w.NoteSession("s-1", notice_began=now, notice_ended=now + 1, first=now + 1))
        desk.keeper.keep(w.CloseSession("s-1", now + 60, "private", last=now + 60, heard_ms=59_000))
        await desk.settled()
        (due,) = desk.catalog.notices_due()
        assert (due["ended_by"], due["heard_ms"]) == ("private", 59_000)
        owed = datetime.fromisoformat(due["notice_due"]) - datetime.fromisoformat(due["closed"])
        assert owed == timedelta(days=1)
        answer = await desk.says(w.OpenSession(row))  # the same id again
        assert answer == w.SessionFailed("s-1", CALL, "IntegrityError")

    at_the_desk(tmp_path, act)


def test_private_and_presets_are_written_down(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        desk.catalog.open_call(call_row(CALL)).result()
        desk.keeper.keep(w.NotePrivate(CALL, 20_000, 10_000))
        desk.keeper.keep(w.NotePrivate(CALL, 20_000, 10_000, "direct", 20_300))
        until = datetime.now(UTC) + timedelta(days=1)
        desk.keeper.keep(w.SetPreset(PersonId("a1"), "204", "until-off", until))
        desk.keeper.keep(w.SetPreset(PersonId("a2"), None, "next-call", until))
        desk.keeper.keep(w.ClearPreset(PersonId("a2"), None))
        await desk.settled()
        known = desk.catalog.private_proof(CALL)
        assert known is not None
        assert (known["private_since_ms"], known["private_path"], known["private_direct_ms"]) == (
            20_000,
            "direct",
            20_300,
        )
        assert [(row.person, row.until) for row in desk.catalog.presets()] == [("a1", until)]

    at_the_desk(tmp_path, act)
