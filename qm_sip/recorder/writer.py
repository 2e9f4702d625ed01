"""One thread writes the catalog; what waits together is committed together.

A caller hands in a function and gets a Future, done when the change is on the disk: WAL with
synchronous=FULL, one commit for all that queued up while the last one was being synced. A function that
raises is undone alone.

A commit costs a sync, whatever is in it. So a change that nobody waits for (`patient`) is committed with the next one
that somebody does wait for, or by itself after `PATIENCE`. The order of changes is always that of their coming.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Job = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]

BATCH = 200
PATIENCE = 0.05  # seconds

# What a disk can do to a change, and may not do to it tomorrow: the primary codes of sqlite.org/rescode.html.
_TROUBLE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN}
)


def is_storage_trouble(error: BaseException) -> bool:
    """Whether the disk refused, and not the change: it can be tried again when there is room."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _TROUBLE


def connect(path: Path) -> sqlite3.Connection:
    """Open the catalog as its writer does."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma secure_delete = on")  # what is forgotten is overwritten
    return connection


class Writer:
    def __init__(self, path: Path) -> None:
        self._jobs: deque[Job] = deque()
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()  # rung with: does somebody wait?
        self._connection = connect(path)
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="catalog-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[sqlite3.Connection], T], *, patient: bool = False) -> Future[T]:
        """Queue a change. The Future is done when it is durable, or holds what it raised."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the catalog is closed")
            first = not self._jobs
            self._jobs.append((change, future))
        if first or not patient:
            self._bell.put(not patient)
        return future

    def close(self) -> None:
        """Write what was queued, then end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._bell.put(True)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._jobs or not self._closed:
            self._wait()
            if batch := self._next_batch():
                self._commit(batch)

    def _wait(self) -> None:
        """Until somebody waits for a change, or one that nobody waits for has had its time."""
        hurry = self._bell.get()
        until = time.monotonic() + PATIENCE
        while not hurry and (left := until - time.monotonic()) > 0:
            try:
                hurry = self._bell.get(timeout=left)
            except queue.Empty:
                return

    def _next_batch(self) -> list[Job]:
        """What is there. If more is left than one commit takes, the bell is rung for it."""
        with self._lock:
            taken = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
            if self._jobs:
                self._bell.put(True)
        return [job for job in taken if job[1].set_running_or_notify_cancel()]

    def _commit(self, batch: list[Job]) -> None:
        try:
            self._connection.execute("begin immediate")
            done = (
                [self._apply(change) for change, _ in batch] if len(batch) > 1 else [self._alone(batch[0][0])]
            )
            self._connection.execute("commit")
        except sqlite3.Error as error:  # disk full, I/O error: nothing of the batch is durable
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            done = [(None, error)] * len(batch)
        for (_, future), (result, problem) in zip(batch, done, strict=True):
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)

    def _alone(self, change: Callable[[sqlite3.Connection], Any]) -> tuple[Any, BaseException | None]:
        """Run the one change of a transaction: if it raises, nothing of it is committed."""
        try:
            return change(self._connection), None
        except Exception as error:
            if self._connection.in_transaction:  # a full disk may have rolled back by itself
                self._connection.execute("rollback")
            self._connection.execute("begin immediate")
            return None, error

    def _apply(self, change: Callable[[sqlite3.Connection], Any]) -> tuple[Any, BaseException | None]:
        """Run one change in a savepoint of its own."""
        self._connection.execute("savepoint change")
        try:
            result = change(self._connection)
        except Exception as error:
            self._connection.execute("rollback to change")
            self._connection.execute("release change")
            return None, error
        self._connection.execute("release change")
        return result, None
