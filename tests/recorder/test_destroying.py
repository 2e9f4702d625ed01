"""Destroyed means: no wrapped key, no key, no bytes, whatever state it was in and whoever was at work on it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import RESERVE, Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.jobs import RenderJob
from qm_sip.recorder.journal import JournalMissing
from qm_sip.recorder.pool import RendererPool, StorageTrouble
from qm_sip.recorder.recovery import recover
from qm_sip.recorder.renderer import do_job
from qm_sip.recorder.rows import State
from tests.recorder.facts import RECIPIENT, STARTED
from tests.recorder.stage import catalog_in, enter, put, store_in

Act = Callable[[Store, Catalog, Finisher], Awaitable[None]]


def staged(directory: Path, act: Act) -> None:
    async def run() -> None:
        store, catalog = store_in(directory), catalog_in(directory)
        finisher = Finisher(catalog, store, RendererPool())
        try:
            await act(store, catalog, finisher)
        finally:
            await finisher.stop()
            catalog.close()

    asyncio.run(run())


def left_of(store: Store, recording: str) -> list[str]:
    """Every file of a recording, of whatever kind."""
    places = (store.journals, store.recordings, store.quarantine, store.keys)
    return [path.name for place in places for path in place.iterdir() if path.name.startswith(recording)]


def check_gone(store: Store, catalog: Catalog, recording: str, reason: str) -> None:
    row = catalog.recording(recording)
    assert row is not None
    assert (row.state, row.facts["reason"], row.wrapped) == (State.DESTROYED, reason, {})
    assert left_of(store, recording) == []
    assert not store.remains(recording)
    assert [(c["purpose"], c["rule"]) for c in catalog.certificates(recording)] == [("coaching", reason)]


async def running(store: Store, catalog: Catalog, finisher: Finisher) -> None:
    enter(catalog, "rec-1", closed=False)
    put(store, "rec-1")


async def waiting(store: Store, catalog: Catalog, finisher: Finisher) -> None:
    enter(catalog, "rec-1")
    put(store, "rec-1")


async def sealed(store: Store, catalog: Catalog, finisher: Finisher) -> None:
    await waiting(store, catalog, finisher)
    await finisher.start("rec-1")


async def sealed_journal(store: Store, catalog: Catalog, finisher: Finisher) -> None:
    await waiting(store, catalog, finisher)
    store.key("rec-1").unlink()
    await finisher.start("rec-1")


async def quarantined(store: Store, catalog: Catalog, finisher: Finisher) -> None:
    await waiting(store, catalog, finisher)
    catalog.quarantined("rec-1", "render-bug").result()
    store.set_aside("rec-1")


async def failed(store: Store, catalog: Catalog, finisher: Finisher) -> None:
    await waiting(store, catalog, finisher)
    catalog.failed("rec-1", "journal-missing").result()


@pytest.mark.parametrize("state", [running, waiting, sealed, sealed_journal, quarantined, failed])
def test_whatever_state_it_is_in(tmp_path: Path, state: Act) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        await state(store, catalog, finisher)
        await finisher.condemn("rec-1", "customer-objected")
        assert store.epitaph("rec-1") == "customer-objected"
        assert await finisher.destroy("rec-1", "customer-objected") is State.DESTROYED
        check_gone(store, catalog, "rec-1", "customer-objected")
        assert await finisher.destroy("rec-1", "again") is State.DESTROYED
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.1, 0.25, 0.4, 0.6, 0.9])
def test_a_renderer_at_work_on_it_does_not_bring_it_back(tmp_path: Path, moment: float) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        enter(catalog, "rec-2")
        put(store, "rec-1", seconds=60)
        put(store, "rec-2")
        task = finisher.start("rec-1")
        other = finisher.start("rec-2")
        await asyncio.sleep(moment)
        await asyncio.wait_for(finisher.destroy("rec-1", "customer-objected"), 20)
        check_gone(store, catalog, "rec-1", "customer-objected")
        await asyncio.wait([task])
        assert await other is State.SEALED  # the one behind it is not taken along
        await asyncio.sleep(0.2)
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


# Reads a job, says that it has, and writes its file half a second later without another look.
HEEDLESS = """
import json, sys, time
for line in sys.stdin:
    job = json.loads(line)
    open(job["output"] + ".begun", "wb").close()
    time.sleep(0.5)
    open(job["output"], "wb").write(b"sealed")
    print(json.dumps({"ok": False, "error": "bug", "text": ""}), flush=True)
"""


def test_no_renderer_of_it_lives_when_it_is_said_to_be_destroyed(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, _: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1")
        finisher = Finisher(catalog, store, RendererPool(command=[sys.executable, "-c", HEEDLESS]))
        finisher.start("rec-1")
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if any(path.suffix == ".begun" for path in store.recordings.iterdir()):
                break
        await finisher.destroy("rec-1", "customer-objected")
        await asyncio.sleep(1.0)
        check_gone(store, catalog, "rec-1", "customer-objected")
        await finisher.stop()

    staged(tmp_path, act)


def test_the_tomb_stands_until_everything_else_is_gone(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        await sealed(store, catalog, finisher)
        erase = store.erase

        def broken(recording: str) -> None:
            raise OSError(5, "Input/output error")

        store.erase = broken  # type: ignore[method-assign]
        with pytest.raises(OSError, match="Input/output"):
            await finisher.destroy("rec-1", "customer-objected")
        assert store.epitaph("rec-1") == "customer-objected"
        assert store.tomb("rec-1").exists()
        store.erase = erase  # type: ignore[method-assign]
        await recover(catalog, store, finisher, wait=True)
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


def test_condemned_is_enough_for_nobody_to_render_it(tmp_path: Path) -> None:
    """The call said that it has to go, and then no more: what finishes recordings obeys the tomb."""

    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        await waiting(store, catalog, finisher)
        condemn = store.condemn

        def slowly(recording: str, reason: str) -> None:
            time.sleep(0.5)
            condemn(recording, reason)

        store.condemn = slowly  # type: ignore[method-assign]
        condemning = asyncio.ensure_future(finisher.condemn("rec-1", "customer-objected"))
        await asyncio.sleep(0)  # it has been said, and is not on the disk yet
        assert await finisher.start("rec-1") is State.DESTROYED
        await condemning
        await recover(catalog, store, finisher, wait=True)
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


def test_a_journal_still_open_in_the_engine_is_gone_when_the_engine_closes_it(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        await running(store, catalog, finisher)
        with store.journal("rec-1").open("ab") as engine:
            await finisher.destroy("rec-1", "customer-objected")
            engine.write(b"a chunk that comes late" * 100)
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


def test_a_journal_that_the_engine_opens_after_that_goes_when_it_is_closed(tmp_path: Path) -> None:
    """The tap was asked for before the objection came, and opens after it."""

    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1", closed=False)
        await finisher.destroy("rec-1", "customer-objected")
        put(store, "rec-1")
        await asyncio.wrap_future(catalog.close_recording("rec-1", STARTED, "objected"))
        await finisher.start("rec-1")
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


def test_a_renderer_that_outlived_its_server_removes_what_it_wrote(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, "rec-1")
    output = store.new_sealed("rec-1")
    job = RenderJob("rec-1", store.journal("rec-1"), store.key("rec-1"), output, {"coaching": [RECIPIENT]})
    read = type(store.journal("rec-1")).read_bytes
    gone: list[Path] = []

    def read_then_destroyed(path: Path) -> bytes:
        data = read(path)
        if path.suffix == ".key":
            store.erase("rec-1")
            gone.append(path)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_then_destroyed)
        with pytest.raises(JournalMissing):
            do_job(job)
    assert gone
    assert left_of(store, "rec-1") == []


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


class FullOnce:
    """A catalog whose disk has no room until something has been removed from it."""

    def __init__(self, catalog: Catalog, room: Callable[[], bool]) -> None:
        self._catalog, self._room = catalog, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def destroyed(self, *args: Any) -> Future[bool]:
        if self._room():
            return self._catalog.destroyed(*args)
        future: Future[bool] = Future()
        future.set_exception(full())
        return future


def test_a_full_disk_makes_room_by_destroying(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        await sealed(store, catalog, finisher)
        cramped = FullOnce(
            catalog, lambda: not store.remains("rec-1") and not (tmp_path / "data" / RESERVE).exists()
        )
        tight = Finisher(cramped, store, RendererPool())  # type: ignore[arg-type]
        await tight.destroy("rec-1", "customer-objected")
        check_gone(store, catalog, "rec-1", "customer-objected")
        assert (tmp_path / "data" / RESERVE).exists()  # set aside again

    staged(tmp_path, act)


def test_while_the_catalog_cannot_be_written_it_is_not_said_to_be_destroyed_and_its_tomb_stands(
    tmp_path: Path,
) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        await sealed(store, catalog, finisher)
        tight = Finisher(FullOnce(catalog, lambda: False), store, RendererPool())  # type: ignore[arg-type]
        with pytest.raises(StorageTrouble):
            await tight.destroy("rec-1", "customer-objected")
        assert left_of(store, "rec-1") == ["rec-1.tomb"]
        await recover(catalog, store, finisher, wait=True)
        check_gone(store, catalog, "rec-1", "customer-objected")

    staged(tmp_path, act)


def test_a_tomb_is_put_up_with_the_last_of_the_room(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    write, tries = os.fsync, []

    def no_room_at_first(handle: int) -> None:
        tries.append(handle)
        if (tmp_path / "data" / RESERVE).exists():
            raise OSError(28, "No space left on device")
        write(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", no_room_at_first)
        store.condemn("rec-1", "customer-objected")
    assert store.epitaph("rec-1") == "customer-objected"
    assert len(tries) > 1
