"""`qm-sip serve` with the configuration for load generators, in a directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import processes
from bench.load import ROOT, BenchBroke
from bench.machine import cpus, pinned

EXAMPLE = ROOT / "config" / "examples" / "load"
READY_WITHIN = 30.0
STOP_WITHIN = 15.0
DIRECT = '[default]\nkind = "unlisted"\nmedia = "direct"\n'
"""A lines.toml that knows no line: every call is passed on, its media goes past us."""


def command() -> list[str]:
    """The installed command, or the tree itself."""
    installed = ROOT / ".venv" / "bin" / "qm-sip"
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "from qm_sip.cli.main import main; main()"]


class Server:
    """The program under test, as a context: started, ready, and in the end stopped and its files gone."""

    target = "127.0.0.1:5080"

    def __init__(self, lines: str | None = None, cpu: int | None = None) -> None:
        self.lines = lines  # in the place of the example's
        self.cpu = cpu if cpu is not None else cpus().tested

    def __enter__(self) -> Server:
        self._temporary = [
            tempfile.TemporaryDirectory(prefix="qm_sip-bench-"),
            tempfile.TemporaryDirectory(prefix="qm_sip-bench-", dir="/dev/shm"),
        ]
        self.directory, keys = (Path(one.name) for one in self._temporary)
        self.config = self.directory / "config"
        shutil.copytree(EXAMPLE, self.config)
        if self.lines is not None:
            (self.config / "lines.toml").write_text(self.lines)
        self.storage = self.directory / "storage"
        self.environment = os.environ | {
            "QM_SIP_STORAGE_DIRECTORY": str(self.storage),
            "QM_SIP_STORAGE_KEY_DIRECTORY": str(keys),
            "QM_SIP_CONTROL_SOCKET": str(self.directory / "control"),
        }
        try:
            self.ask("prompts", "build", "--directory", str(self.config / "prompts"))
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def _start(self) -> None:
        ready = self.directory / "ready"
        self.log = self.directory / "log"
        words = [*command(), "serve", "--config", str(self.config), "--ready-file", str(ready)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                pinned(words, self.cpu), env=self.environment, cwd=ROOT, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_WITHIN
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise BenchBroke(f"the server did not start:\n{self.said()}")
            time.sleep(0.05)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def ask(self, *words: str) -> str:
        """Run one command of the command line."""
        done = subprocess.run(
            [*command(), *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise BenchBroke(f"qm-sip {' '.join(words)} failed: {done.stderr[-1000:]}")
        return done.stdout

    def rows(self, *words: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(
            self.ask(*words, "--config", str(self.config), "--json") or "[]"
        )
        return rows

    def usage(self) -> processes.Usage:
        return processes.usage(self.process.pid)

    def memory(self) -> int:
        return processes.memory(self.process.pid)

    def settled(self) -> bool:
        """What the calls left to be done is done."""
        return self.rendered(30)

    def journals(self) -> int:
        """Recordings that are running or wait to be rendered: the journal goes when the final file stands."""
        return sum(1 for _ in self.storage.rglob("*.qmj"))

    def rendered(self, within: float) -> bool:
        """Wait until everything has been rendered."""
        deadline = time.monotonic() + within
        while self.journals():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop()
        finally:
            self._remove()

    def _stop(self) -> None:
        """In order, then by force; its children end with it or are ended too."""
        family = [process.pid for process in processes.tree(self.process.pid)]
        for sign, patience in ((signal.SIGTERM, STOP_WITHIN), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(sign)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        for pid in family[1:]:
            if _still_ours(pid):
                os.kill(pid, signal.SIGKILL)

    def _remove(self) -> None:
        for one in self._temporary:
            one.cleanup()


def _still_ours(pid: int) -> bool:
    """The pid is alive and still one of our modules (it could have been given to somebody else meanwhile)."""
    try:
        return b"qm_sip." in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
