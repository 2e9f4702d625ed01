"""The load program: built, started, listened to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.machine import cpus, pinned

ROOT = Path(__file__).resolve().parent.parent
Report = dict[str, Any]


class BenchBroke(Exception):
    """The bench itself could not do its work; nothing was measured."""


def build() -> Path:
    """Build the load program (release) and say where it is."""
    command = ["cargo", "build", "--quiet", "--release", "--package", "qm-load", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "qm-load":
            return Path(message["executable"])
    raise BenchBroke(f"the load program could not be built:\n{done.stderr[-2000:]}")


class LoadProgram:
    """qm-load, run on its own CPU."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary

    def run(
        self,
        mode: str,
        options: dict[str, object],
        *,
        on_event: Callable[[Report], None] = lambda _: None,
        text: str | None = None,
        limit: float = 180.0,
    ) -> Report:
        """Run one mode to its end; `on_event` gets each line that `--events` prints, as it is printed."""
        command = pinned([str(self.binary), mode, *_words(options)], cpus().load)
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            if text is not None and process.stdin is not None:
                process.stdin.write(text)
                process.stdin.close()
            said = [line for line in process.stderr if not _told(line, on_event)]
            printed = process.stdout.read()
            status = process.wait(limit)
        if status != 0:
            raise BenchBroke(f"{' '.join(command)} ended with status {status}: {''.join(said)[-1000:]}")
        report: Report = json.loads(printed)
        return report


def _words(options: dict[str, object]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value not in (None, False):
            words.extend([f"--{name}", str(value)])
    return words


def _told(line: str, on_event: Callable[[Report], None]) -> bool:
    """Was this line an event? Then it has been handed on."""
    if not line.startswith("{"):
        return False
    on_event(json.loads(line))
    return True


def losses(report: Report) -> dict[str, int]:
    """Everything that should be nought, both directions together."""
    both = (report["to_agent"], report["to_customer"])
    return {name: sum(one[name] for one in both) for name in ("lost", "doubles", "strangers", "damaged")}


def trustworthy(report: Report) -> list[str]:
    """Reasons not to believe a run because the load program itself could not keep up; empty: believe it."""
    own = report["own"]
    doubts = []
    if own["packets_dropped_unread"]:
        doubts.append(f"the load program lost {own['packets_dropped_unread']} packets unread")
    if own["packets_refused_by_kernel"]:
        doubts.append(f"{own['packets_refused_by_kernel']} packets could not be sent")
    if own["packets_skipped"]:
        doubts.append(f"the load program was too late for {own['packets_skipped']} packets")
    if own["pace_late"]["p99_ms"] > 5:
        doubts.append(f"the load program was late: p99 {own['pace_late']['p99_ms']:.1f} ms")
    return doubts
