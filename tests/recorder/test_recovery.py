"""Recovery: wherever the last run was killed, everything is completed once, and what was destroyed stays
so.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from qm_sip.call.spans import Span
from qm_sip.errors import StartError
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.export import open_sealed, open_sealed_journal, verify
from qm_sip.recorder.files import Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.pool import RendererPool
from qm_sip.recorder.recovery import recover
from qm_sip.recorder.rows import State
from tests.recorder.facts import HOLDER, STARTED
from tests.recorder.journal_writer import KEPT_FROM, Writer, end
from tests.recorder.stage import catalog_in, enter, journal_of, put, store_in

Stage = tuple[Store, Catalog, Finisher]


def staged(directory: Path, act: Callable[[Store, Catalog, Finisher], Awaitable[None]]) -> None:
    """Run `act` with a store, a catalog and a finisher, as a server has them."""

    async def run() -> None:
        store, catalog = store_in(directory), catalog_in(directory)
        finisher = Finisher(catalog, store, RendererPool())
        try:
            await act(store, catalog, finisher)
        finally:
            await finisher.stop()
            catalog.close()

    asyncio.run(run())


def state(catalog: Catalog, recording: str = "rec-1") -> State:
    found = catalog.recording(recording)
    assert found is not None
    return found.state


def test_a_finished_recording_is_sealed_and_its_journal_and_key_are_gone(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1")
        assert await finisher.start("rec-1") is State.SEALED
        row = catalog.recording("rec-1")
        assert row is not None
        assert row.file is not None
        data = open_sealed(store.sealed(row.file), row.wrapped["coaching"], str(HOLDER))
        assert verify(data, row).wrong == []
        assert not store.journal("rec-1").exists()
        assert not store.key("rec-1").exists()

    staged(tmp_path, act)


@pytest.mark.parametrize("closed", [True, False])
def test_a_journal_with_its_key_is_rendered(tmp_path: Path, closed: bool) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1", closed=closed)
        whole = journal_of("rec-1").to_bytes()
        put(store, "rec-1", data=whole[: len(whole) - 900])  # killed within its last chunks
        await recover(catalog, store, finisher, wait=True)
        row = catalog.recording("rec-1")
        assert row is not None
        assert (row.state, row.facts["ended_by"]) == (State.SEALED, "hung-up" if closed else None)
        assert 6000 <= row.facts["frames"] < 8000  # one chunk of 250 ms

    staged(tmp_path, act)


def test_a_journal_without_its_key_is_the_sealed_recording(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1", closed=False)
        put(store, "rec-1")
        store.key("rec-1").unlink()  # the power was cut
        await recover(catalog, store, finisher, wait=True)
        assert state(catalog) is State.SEALED_JOURNAL
        made = open_sealed_journal(store.sealed_journal("rec-1"), "coaching", str(HOLDER))
        assert made.timeline.length == 8000
        await recover(catalog, store, finisher, wait=True)
        assert store.sealed_journal("rec-1").exists()

    staged(tmp_path, act)


@pytest.mark.parametrize("rendered", [True, False])
def test_a_tomb_comes_before_everything(tmp_path: Path, rendered: bool) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1")
        if rendered:
            await finisher.start("rec-1")
        store.tomb("rec-1").write_bytes(b"")
        await recover(catalog, store, finisher, wait=True)
        assert state(catalog) is State.DESTROYED
        assert [p.name for p in (tmp_path / "data").rglob("rec-1*")] == []
        assert not store.key("rec-1").exists()

    staged(tmp_path, act)


def test_a_tomb_of_a_call_that_is_forgotten_destroys_it_too(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        put(store, "rec-1")
        store.tomb("rec-1").write_bytes(b"")
        await recover(catalog, store, finisher)
        assert list(store.journals.iterdir()) == []

    staged(tmp_path, act)


def test_a_tomb_that_comes_while_rendering_is_obeyed(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1", seconds=60)
        task = finisher.start("rec-1")
        await asyncio.sleep(0.05)
        store.tomb("rec-1").write_bytes(b"")
        assert await task is State.DESTROYED
        assert list(store.recordings.iterdir()) == []

    staged(tmp_path, act)


def test_a_row_without_a_journal_has_failed(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        await recover(catalog, store, finisher, wait=True)
        row = catalog.recording("rec-1")
        assert row is not None
        assert (row.state, row.facts["reason"]) == (State.FAILED, "journal-missing")

    staged(tmp_path, act)


def test_a_journal_in_which_nothing_was_kept_has_failed_without_quarantine(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1", data=Writer(recording="rec-1").add(end(KEPT_FROM)).to_bytes())
        assert await finisher.start("rec-1") is State.FAILED
        assert list(store.journals.iterdir()) == []

    staged(tmp_path, act)


def test_a_key_or_journal_that_went_missing_in_mid_run_is_settled(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        for recording in ("rec-1", "rec-2"):
            enter(catalog, recording)
            put(store, recording)
        store.key("rec-1").unlink()
        store.journal("rec-2").unlink()
        assert await finisher.start("rec-1") is State.SEALED_JOURNAL
        assert await finisher.start("rec-2") is State.FAILED
        assert store.sealed_journal("rec-1").exists()

    staged(tmp_path, act)


def test_a_journal_nobody_can_render_is_set_aside_for_its_recipients(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1", data=journal_of("rec-other").to_bytes())
        assert await finisher.start("rec-1") is State.QUARANTINED
        assert (store.quarantine / "rec-1.qmj").exists()
        assert not store.key("rec-1").exists()

    staged(tmp_path, act)


def test_a_journal_nobody_entered_is_set_aside(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        put(store, "rec-1")
        done = await recover(catalog, store, finisher, wait=True)
        assert done.counts["set-aside"] == 1
        assert (store.quarantine / "rec-1.qmj").exists()

    staged(tmp_path, act)


def test_what_killed_renderers_left_goes_and_what_counts_stays(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1")
        await finisher.start("rec-1")
        (kept,) = store.recordings.iterdir()
        for stale in ("rec-1.0000.flac.age", "rec-1.1111.flac.age.part"):
            store.sealed(stale).write_bytes(b"x")
        store.sealed("rec-unknown.2222.flac.age").write_bytes(b"x")
        store.key("rec-gone").write_bytes(bytes(32))
        await recover(catalog, store, finisher, wait=True)
        assert {p.name for p in store.recordings.iterdir()} == {kept.name, "rec-unknown.2222.flac.age"}
        assert list(store.keys.iterdir()) == []

    staged(tmp_path, act)


def test_an_open_call_of_a_dead_run_ends_as_failed_with_what_was_known(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1", closed=False)
        put(store, "rec-1")
        known = [Span(SpanState.UNTOLD, 0, 900, "new"), Span(SpanState.RECORDED, 900, 900, "all")]
        catalog.add_spans("call-rec-1", known).result()
        last_chunk = STARTED.timestamp() + 5
        os.utime(store.journal("rec-1"), (last_chunk, last_chunk))
        await recover(catalog, store, finisher, wait=True)
        told = catalog.explain("call-rec-1")
        assert told is not None
        assert (told["outcome"], told["reasons"][0]["code"]) == (Outcome.FAILED, "server-died")
        assert [s["state"] for s in told["spans"]] == ["untold", "recorded", "failed"]
        assert told["call"]["length_ms"] == 5000
        assert told["recordings"][0]["state"] == State.SEALED

    staged(tmp_path, act)


def test_a_journal_in_which_nothing_was_kept_goes_even_if_the_server_died_before_it_went(
    tmp_path: Path,
) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        enter(catalog, "rec-1")
        put(store, "rec-1", data=b"QMJ1")
        catalog.failed("rec-1", "nothing-kept").result()  # and here it was killed
        done = await recover(catalog, store, finisher, wait=True)
        assert done.counts["journal-destroyed"] == 1
        for folder in (store.journals, store.quarantine, store.keys):
            assert list(folder.iterdir()) == []

    staged(tmp_path, act)


def test_recovering_twice_does_no_more_than_once(tmp_path: Path) -> None:
    async def act(store: Store, catalog: Catalog, finisher: Finisher) -> None:
        for n in range(3):
            enter(catalog, f"rec-{n}", closed=n > 0)
            put(store, f"rec-{n}")
        await recover(catalog, store, finisher, wait=True)
        before = sorted((p.name, p.stat().st_ino) for p in store.recordings.iterdir())
        done = await recover(catalog, store, finisher, wait=True)
        assert dict(done.counts) == {}
        assert sorted((p.name, p.stat().st_ino) for p in store.recordings.iterdir()) == before

    staged(tmp_path, act)


def test_a_directory_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StartError, match="cannot write to"):
        Store(tmp_path / "file", tmp_path / "keys").prepare()
