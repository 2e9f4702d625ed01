"""The pool: renderers are replaced when they die, tried three times, killed when their job is not wanted."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from qm_sip.recorder.files import Store, sha256_of
from qm_sip.recorder.jobs import RenderJob
from qm_sip.recorder.pool import PoolStopped, RendererPool, RenderFailed, StorageTrouble
from tests.recorder.facts import RECIPIENT
from tests.recorder.stage import journal_of, put, store_in


def job(store: Store, recording: str = "rec-1") -> RenderJob:
    return RenderJob(
        recording,
        store.journal(recording),
        store.key(recording),
        store.new_sealed(recording),
        {"coaching": [RECIPIENT]},
    )


def script(tmp_path: Path, body: str) -> tuple[str, ...]:
    """A stand-in for a renderer with a fault; each start adds a line to `starts`."""
    path = tmp_path / "renderer.py"
    path.write_text(f"import os, sys, time\nopen({str(tmp_path / 'starts')!r}, 'a').write('x\\n')\n{body}")
    return (sys.executable, str(path))


async def running(pool: RendererPool) -> None:
    """Wait until a renderer runs."""
    for _ in range(1000):
        if pool.pids():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no renderer was started")


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text().splitlines())


def test_a_journal_becomes_a_sealed_file(tmp_path: Path) -> None:
    async def run() -> None:
        store, pool = store_in(tmp_path), RendererPool()
        put(store, "rec-1")
        wanted = job(store)
        result = await pool.render(wanted)
        await pool.stop()
        assert result.sealed_sha256 == sha256_of(wanted.output)
        assert (result.frames, result.lost, list(result.wrapped)) == (8000, 0, ["coaching"])
        assert wanted.output.stat().st_mode & 0o777 == 0o600
        assert b"fLaC" not in wanted.output.read_bytes()
        assert pool.pids() == []

    asyncio.run(run())


def test_renderers_are_kept_humble_and_few(tmp_path: Path) -> None:
    async def run() -> None:
        store, pool = store_in(tmp_path), RendererPool(workers=2)
        for n in range(6):
            put(store, f"rec-{n}")
        await asyncio.gather(*(pool.render(job(store, f"rec-{n}")) for n in range(6)))
        pids = pool.pids()
        assert len(pids) == 2
        assert all(os.getpriority(os.PRIO_PROCESS, pid) >= 10 for pid in pids)
        await pool.stop()

    asyncio.run(run())


def test_a_killed_renderer_is_replaced_and_the_job_done(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path)
        tries: list[str] = []
        pool = RendererPool(on_try=tries.append)
        put(store, "warm")
        await pool.render(job(store, "warm"))
        put(store, "rec-1", seconds=120)
        task = asyncio.create_task(pool.render(job(store)))
        await asyncio.sleep(0.02)
        os.kill(pool.pids()[0], signal.SIGKILL)
        assert (await task).frames == 960_000
        assert tries == ["warm", "rec-1", "rec-1"]
        await pool.stop()

    asyncio.run(run())


def test_after_three_deaths_the_job_is_given_up(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path)
        pool = RendererPool(command=script(tmp_path, "sys.stdin.readline(); os._exit(1)"))
        with pytest.raises(RenderFailed) as problem:
            await pool.render(job(store))
        assert (problem.value.code, starts(tmp_path)) == ("died", 3)
        await pool.stop()

    asyncio.run(run())


def test_a_renderer_that_hangs_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path)
        pool = RendererPool(tries=2, timeout=0.3, command=script(tmp_path, "time.sleep(60)"))
        with pytest.raises(RenderFailed) as problem:
            await pool.render(job(store))
        assert (problem.value.code, pool.pids()) == ("hung", [])
        await pool.stop()

    asyncio.run(run())


def test_a_renderer_that_talks_nonsense_is_replaced(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path)
        pool = RendererPool(
            command=script(tmp_path, "sys.stdin.readline(); print('[]', flush=True); time.sleep(9)")
        )
        with pytest.raises(RenderFailed):
            await pool.render(job(store))
        assert starts(tmp_path) == 3
        await pool.stop()

    asyncio.run(run())


def test_a_journal_of_another_recording_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        store, pool = store_in(tmp_path), RendererPool()
        put(store, "rec-1", data=journal_of("rec-2").to_bytes())
        with pytest.raises(RenderFailed) as problem:
            await pool.render(job(store))
        assert problem.value.code == "journal"
        await pool.stop()

    asyncio.run(run())


def test_a_disk_that_cannot_be_written_is_no_verdict_on_the_journal(tmp_path: Path) -> None:
    async def run() -> None:
        store, pool = store_in(tmp_path), RendererPool()
        put(store, "rec-1")
        wanted = job(store)
        nowhere = RenderJob(**{**wanted.__dict__, "output": Path("/dev/full/x.flac.age")})
        with pytest.raises(StorageTrouble):
            await pool.render(nowhere)
        await pool.stop()

    asyncio.run(run())


def test_cancelling_kills_the_renderer_and_frees_its_place(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path)
        pool = RendererPool(command=script(tmp_path, "time.sleep(60)"))
        task = asyncio.create_task(pool.render(job(store)))
        await running(pool)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.pids() == []
        again = asyncio.create_task(pool.render(job(store)))
        await running(pool)
        await pool.stop()
        with pytest.raises(PoolStopped):
            await again
        with pytest.raises(PoolStopped):
            await pool.render(job(store))

    asyncio.run(run())


def test_stopping_may_wait_for_what_runs(tmp_path: Path) -> None:
    async def run() -> None:
        store, pool = store_in(tmp_path), RendererPool()
        put(store, "rec-1")
        task = asyncio.create_task(pool.render(job(store)))
        await asyncio.sleep(0)
        await pool.stop(wait=30)
        assert (await task).frames == 8000

    asyncio.run(run())


def test_what_the_server_imports_brings_no_pyrage_into_it() -> None:
    """pyrage holds the GIL while it encrypts: the serving process must never load it."""
    import subprocess

    modules = "catalog, pool, recovery, finish, files, rows, backlog, keeper, keys, permit, jobs"
    code = f"import sys; from qm_sip.recorder import {modules}; sys.exit('pyrage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
