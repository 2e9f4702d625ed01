"""A program with which a test talks by lines or bytes: what it says is read along by a thread, and waited for."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Driven:
    """`said` takes what the program printed, in the reading thread; `wait` looks again at each of it."""

    def __init__(self, process: subprocess.Popen[bytes], said: Callable[[bytes], Any]) -> None:
        self._process, self._said = process, said
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def wait(self, look: Callable[[], T | None], seconds: float, what: str) -> T:
        end = time.monotonic() + seconds
        with self._news:
            while (found := look()) is None or found is False:
                left = end - time.monotonic()
                assert left > 0, f"no {what} within {seconds} s"
                self._news.wait(left)
        return found

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        while data := self._process.stdout.read1(65536):  # type: ignore[attr-defined]
            with self._news:
                self._said(data)
                self._news.notify_all()
