"""A small pool of renderers: exec'ed processes that are kept, watched, and replaced when they die.

A renderer that dies, hangs or fails takes one try of its job with it, never the server. After three
tries the job is given up, and the caller puts the journal into quarantine. A disk that cannot be written
to is nobody's fault: it is reported as such and does not count as a verdict on the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import qm_sip
from qm_sip.errors import QmSipError
from qm_sip.recorder.jobs import RenderJob, RenderResult

TRIES = 3
COMMAND = (sys.executable, "-m", "qm_sip.recorder.renderer")
FINAL = ("empty", "missing")  # trying again cannot change these
LINE_MOST = 1 << 22


class RenderFailed(QmSipError):
    """A job was given up. `code`: empty (nothing was kept), missing, journal, bug, died, or hung."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(f"{text} [{code}]")


class StorageTrouble(QmSipError):
    """The sealed file could not be written: the job can be tried again when there is room."""


class PoolStopped(QmSipError):
    """The pool was stopped before this job was done: recovery will do it at the next start."""


class Worker:
    """One renderer process, started when first needed and again after it died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def ask(self, job: RenderJob) -> dict[str, object] | None:
        """Hand over a job and wait for the answer; None if the process died over it."""
        process = await self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
            answer = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):  # a broken pipe, a line without end, not JSON
            answer = None
        if not isinstance(answer, dict):
            await self.kill()
            return None
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, env=_environment(), limit=LINE_MOST
            )
        return self._process

    async def kill(self) -> None:
        """End the process at once; what it was writing is a `.part` file that nobody will name."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _environment() -> dict[str, str]:
    """A renderer imports the same qm_sip as we do, wherever it was started."""
    package = str(Path(qm_sip.__file__).parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class RendererPool:
    """Renders jobs with at most `workers` processes at a time."""

    def __init__(
        self,
        workers: int = 1,
        *,
        tries: int = TRIES,
        timeout: float = 900.0,
        command: Sequence[str] = COMMAND,
        on_try: Callable[[str], object] | None = None,
    ) -> None:
        self._workers = [Worker(command) for _ in range(workers)]
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._tries, self._timeout, self._on_try = tries, timeout, on_try
        self._running: set[asyncio.Task[RenderResult]] = set()
        self._stopped = False

    def pids(self) -> list[int]:
        """The renderer processes that run now."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def render(self, job: RenderJob) -> RenderResult:
        """Render one journal, or raise RenderFailed, StorageTrouble, PoolStopped. Cancelling kills."""
        if self._stopped:
            raise PoolStopped("the renderers are stopped")
        task = asyncio.create_task(self._render(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, QmSipError):
                await task
            if self._stopped:
                raise PoolStopped("the renderers were stopped") from None
            raise

    async def _render(self, job: RenderJob) -> RenderResult:
        problem = RenderFailed("died", "no renderer could be tried")
        worker = await self._idle.get()
        try:
            for _ in range(self._tries):
                if self._on_try is not None:
                    self._on_try(job.recording)
                answer = await self._ask(worker, job)
                if answer.get("ok") is True:
                    return RenderResult.from_json(answer)
                problem = _problem(answer)
                if problem.code in FINAL:
                    break
            raise problem
        finally:
            self._idle.put_nowait(worker)

    async def _ask(self, worker: Worker, job: RenderJob) -> dict[str, object]:
        try:
            answer = await asyncio.wait_for(worker.ask(job), self._timeout)
        except TimeoutError:
            await worker.kill()
            return {"error": "hung", "text": "the renderer did not answer in time"}
        except asyncio.CancelledError:
            await worker.kill()
            raise
        return answer or {"error": "died", "text": "the renderer died"}

    async def stop(self, wait: float = 0.0) -> None:
        """Stop: give running jobs `wait` seconds, then leave them to recovery."""
        if self._running and wait > 0:
            await asyncio.wait(self._running, timeout=wait)
        self._stopped = True
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for worker in self._workers:
            await worker.kill()


def _problem(answer: dict[str, object]) -> RenderFailed:
    """The failure an answer names. Storage trouble ends the job at once: it is no verdict on the journal."""
    code, text = str(answer.get("error", "bug")), str(answer.get("text", ""))
    if code == "storage":
        raise StorageTrouble(f"the sealed recording could not be written: {text}")
    return RenderFailed(code, text)
