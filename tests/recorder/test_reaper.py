"""The reaper: a day of two years passes in a second, and afterwards nothing is left that should not be."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyrage
import pytest

from qm_sip.config.duration import Duration
from qm_sip.policy.facts import CallId, Kind, Purpose
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.journal import read_envelope
from qm_sip.recorder.pool import RendererPool
from qm_sip.recorder.reaper import GRACE, Reaper
from qm_sip.recorder.recovery import recover
from qm_sip.recorder.rows import State
from tests.recorder.facts import RECIPIENT, STARTED, call_row, decision, recording_row
from tests.recorder.stage import catalog_in, enter, journal_of, put, store_in
from tests.recorder.test_catalog import SPANS

DAY = timedelta(days=1)
GROUND = {Kind.AGENT: "b", Kind.CUSTOMER: "f"}
CLOCKS = SimpleNamespace(quality_ceiling=Duration.parse("P60D"), ledger_parties=Duration.parse("P60D"))
SETTINGS: Any = SimpleNamespace(regulation=SimpleNamespace(clocks=CLOCKS))

Act = Callable[[Store, Catalog, Finisher, Reaper], Awaitable[None]]


def staged(directory: Path, act: Act) -> None:
    async def run() -> None:
        store, catalog = store_in(directory), catalog_in(directory)
        finisher = Finisher(catalog, store, RendererPool())
        try:
            await act(store, catalog, finisher, Reaper(catalog, store, finisher, lambda: SETTINGS))
        finally:
            await finisher.stop()
            catalog.close()

    asyncio.run(run())


def keep(catalog: Catalog, store: Store, name: str, purposes: Sequence[Purpose]) -> None:
    """A closed recording of an ended call, for these purposes."""
    call = CallId(f"call-{name}")
    catalog.open_call(call_row(call)).result()
    row = recording_row(name, call)
    row = replace(
        row,
        decision=replace(decision(), purposes=tuple(purposes)),
        recipients={purpose.name: [RECIPIENT] for purpose in purposes},
    )
    catalog.open_recording(row).result()
    catalog.close_recording(name, STARTED, "hung-up").result()
    catalog.finish_call(call, STARTED, SPANS).result()
    put(store, name)


def purpose(name: str, days: int, *, select: int | None = None) -> Purpose:
    return Purpose(name, GROUND, None, STARTED + days * DAY, STARTED + select * DAY if select else None)


def state(catalog: Catalog, recording: str) -> State:
    row = catalog.recording(recording)
    assert row is not None
    return row.state


def test_each_purpose_ends_in_its_time_and_the_recording_with_the_last(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        keep(catalog, store, "rec-1", [purpose("complaint", 90), purpose("coaching", 60, select=14)])
        await finisher.start("rec-1")
        plan = await reaper.schedule()
        assert [(due.purpose, due.at, due.last) for due in plan] == [
            ("coaching", STARTED + 14 * DAY, False),
            ("complaint", STARTED + 90 * DAY, True),
        ]
        done = await reaper.run(STARTED + 14 * DAY - timedelta(seconds=1))
        assert (done.purposes, done.next) == (0, STARTED + 14 * DAY)
        await reaper.run(STARTED + 14 * DAY)
        row = catalog.recording("rec-1")
        assert row is not None
        assert (row.state, set(row.wrapped)) == (State.SEALED, {"complaint"})
        assert catalog.explain("call-rec-1")["call"]["line"]  # type: ignore[index]
        done = await reaper.run(STARTED + 90 * DAY)
        assert (done.recordings, done.calls, done.next) == (1, 1, None)
        assert (state(catalog, "rec-1"), store.remains("rec-1")) == (State.DESTROYED, False)
        assert [(c["purpose"], c["rule"]) for c in catalog.certificates("rec-1")] == [
            ("coaching", "not-selected"),
            ("complaint", "destroy-by"),
        ]
        told = catalog.explain("call-rec-1")
        assert told is not None
        assert told["call"]["started"] is None
        again = await reaper.run(STARTED + 91 * DAY)
        assert (again.purposes, again.recordings, again.calls) == (0, 0, 0)

    staged(tmp_path, act)


def test_a_purpose_that_ends_before_it_is_rendered_gets_no_key(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        keep(catalog, store, "rec-1", [purpose("complaint", 90), purpose("coaching", 1)])
        await reaper.run(STARTED + DAY)  # its journal still waits: it is not touched while it may be read
        assert catalog.certificates("rec-1") == []
        await finisher.start("rec-1")
        await reaper.run(STARTED + DAY)
        row = catalog.recording("rec-1")
        assert row is not None
        assert set(row.wrapped) == {"complaint"}

    staged(tmp_path, act)


def test_a_purpose_of_a_sealed_journal_goes_from_its_envelope(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        keep(catalog, store, "rec-1", [purpose("complaint", 90), purpose("coaching", 1)])
        writer = journal_of("rec-1")
        key = pyrage.encrypt(writer.key, [pyrage.x25519.Recipient.from_str(RECIPIENT)])
        writer.wrapped = {"coaching": key, "complaint": key}
        store.journal("rec-1").write_bytes(writer.to_bytes())
        store.key("rec-1").unlink()
        assert await finisher.start("rec-1") is State.SEALED_JOURNAL
        await reaper.run(STARTED + DAY)
        envelope, _ = read_envelope(store.sealed_journal("rec-1").read_bytes())
        assert set(envelope.wrapped) == {"complaint"}
        await reaper.run(STARTED + 90 * DAY)
        assert not store.remains("rec-1")

    staged(tmp_path, act)


def test_what_lies_in_quarantine_has_an_end_too(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1")
        catalog.failed("rec-1", "journal-missing").result()
        put(store, "rec-unknown")
        await recover(catalog, store, finisher, wait=True)
        assert {path.stem for path in store.quarantine.iterdir()} == {"rec-1", "rec-unknown"}
        os.utime(store.set_aside_as("rec-unknown"), (STARTED.timestamp(), STARTED.timestamp()))
        await reaper.run(STARTED + 59 * DAY)
        assert store.remains("rec-unknown")
        await reaper.run(STARTED + 61 * DAY)
        assert list(store.quarantine.iterdir()) == []
        assert state(catalog, "rec-1") is State.DESTROYED

    staged(tmp_path, act)


def test_a_held_recording_waits_and_an_objection_does_not_forget_the_call(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        for name in ("rec-held", "rec-objected"):
            keep(catalog, store, name, [purpose("coaching", 60, select=14)])
            await finisher.start(name)
        times = {"agreed": STARTED, "since": STARTED, "until": STARTED + 80 * DAY}
        catalog.hold("rec-held", "dispute", approver="manager", **times).result()
        await finisher.destroy("rec-objected", "customer-objected")
        await reaper.run(STARTED + 59 * DAY)
        assert state(catalog, "rec-held") is State.SEALED
        assert catalog.explain("call-rec-objected")["call"]["line"]  # type: ignore[index]
        await reaper.run(STARTED + 60 * DAY)
        assert catalog.explain("call-rec-objected")["call"]["line"] is None  # type: ignore[index]
        await reaper.run(STARTED + 80 * DAY)
        assert state(catalog, "rec-held") is State.DESTROYED

    staged(tmp_path, act)


def test_overdue_is_what_should_have_gone_and_has_not(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        keep(catalog, store, "rec-1", [purpose("coaching", 60, select=14)])
        await finisher.start("rec-1")
        at = STARTED + 14 * DAY + GRACE
        assert (
            await Reaper(catalog, store, finisher, lambda: SETTINGS).overdue(at - timedelta(seconds=1)) == 0
        )
        assert await reaper.overdue(at) == 1
        await reaper.run(at)
        assert await reaper.overdue(at) == 0

    staged(tmp_path, act)


def test_one_that_cannot_be_destroyed_keeps_no_other_from_it(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        for name in ("rec-1", "rec-2"):
            keep(catalog, store, name, [purpose("coaching", 60)])
            await finisher.start(name)
        destroy = finisher.destroy

        async def stubborn(recording: str, *rest: Any) -> State:
            if recording == "rec-1":
                raise OSError("read-only file system")
            return await destroy(recording, *rest)

        finisher.destroy = stubborn  # type: ignore[method-assign]
        done = await reaper.run(STARTED + 60 * DAY)
        assert (done.recordings, done.failed) == (1, 1)
        assert (state(catalog, "rec-1"), state(catalog, "rec-2")) == (State.SEALED, State.DESTROYED)

    staged(tmp_path, act)


def test_it_does_at_once_what_is_due_at_the_start(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        ended = purpose("coaching", 60)
        assert ended.destroy_by < datetime.now(ended.destroy_by.tzinfo)
        keep(catalog, store, "rec-1", [ended])
        await finisher.start("rec-1")
        task = asyncio.create_task(reaper.keep_running())
        for _ in range(200):
            await asyncio.sleep(0.02)
            if state(catalog, "rec-1") is State.DESTROYED:
                break
        assert not store.remains("rec-1")
        task.cancel()

    staged(tmp_path, act)


def test_when_the_clock_has_leapt_nothing_is_destroyed_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """But at a word of somebody's who knows what time it is."""

    async def act(store: Store, catalog: Catalog, finisher: Finisher, reaper: Reaper) -> None:
        keep(catalog, store, "rec-1", [purpose("coaching", 60)])
        await finisher.start("rec-1")
        now = datetime.now(UTC)
        reaper._clock.leapt(now - 400 * DAY, time.clock_gettime(time.CLOCK_BOOTTIME))
        task = asyncio.create_task(reaper.keep_running())
        await asyncio.sleep(0.3)
        assert store.remains("rec-1") and not task.done()
        assert "the clock has leapt ahead by 400 days" in caplog.text
        assert (await reaper.run(now)).recordings == 1
        task.cancel()

    staged(tmp_path, act)
