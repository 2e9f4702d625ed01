"""Which machine this is, and which of its CPUs do what."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cpus:
    """One CPU for the load program, one for the program under test. None: a single CPU, nothing is pinned."""

    load: int | None
    tested: int | None


def cpus() -> Cpus:
    """The first CPU we may use makes the load, the last one is under test."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return Cpus(None, None)
    return Cpus(usable[0], usable[-1])


def pinned(command: list[str], cpu: int | None) -> list[str]:
    return command if cpu is None else ["taskset", "--cpu-list", str(cpu), *command]


def describe() -> dict[str, Any]:
    """What a reader needs to compare figures: never the machine's name."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model[0].split(":", 1)[1].strip() if model else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "pinned": asdict(cpus()),
        "other_work": round(busy_elsewhere(), 3),
    }


def busy_elsewhere(seconds: float = 1.0) -> float:
    """CPUs kept busy by others before we start: figures of a shared machine are worse, and should say so."""
    before = _busy()
    time.sleep(seconds)
    return (_busy() - before) / os.sysconf("SC_CLK_TCK") / seconds


def _busy() -> int:
    """Ticks that all CPUs together spent on anything (proc(5)), time stolen by other machines included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return user + nice + system + irq + softirq + steal
