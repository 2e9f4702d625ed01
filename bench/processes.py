"""CPU of a process and all its descendants, by role, from /proc (proc(5))."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    seconds: float  # of all its threads, also those that have ended
    children_seconds: float  # of children that have ended and been waited for


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far, by role; `tree` is the sum, with children that have ended."""

    by_role: dict[str, float] = field(default_factory=dict)
    by_thread: dict[str, float] = field(default_factory=dict)

    def since(self, earlier: Usage) -> Usage:
        return Usage(
            {role: used - earlier.by_role.get(role, 0.0) for role, used in self.by_role.items()},
            {name: used - earlier.by_thread.get(name, 0.0) for name, used in self.by_thread.items()},
        )

    def busiest(self, how_many: int) -> dict[str, float]:
        """The threads that used most."""
        return dict(sorted(self.by_thread.items(), key=lambda item: -item[1])[:how_many])

    @property
    def rendering(self) -> float:
        return self.by_role.get("renderer", 0.0)

    @property
    def carrying(self) -> float:
        """Everything that is not rendering: the server, the engine with its append and sync threads."""
        return sum(self.by_role.values()) - self.rendering


def read_process(pid: int) -> Process | None:
    """One line of /proc/PID/stat; None when it has gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = line.rpartition(")")[2].split()  # the name may hold anything; state is the first word after it
    ticks = [int(word) for word in words[11:15]]  # utime stime cutime cstime
    return Process(pid, int(words[1]), (ticks[0] + ticks[1]) / TICKS, (ticks[2] + ticks[3]) / TICKS)


def tree(root: int) -> list[Process]:
    """`root` and all its descendants."""
    found = [read_process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    everyone = [process for process in found if process is not None]
    wanted = {root}
    while True:
        more = {process.pid for process in everyone if process.parent in wanted} - wanted
        if not more:
            return [process for process in everyone if process.pid in wanted]
        wanted |= more


def memory(root: int) -> int:
    """Bytes that the tree of `root` has resident; what processes share is counted once for each, so compare growth."""
    pages = 0
    for process in tree(root):
        try:
            pages += int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def role(pid: int, root: int) -> str:
    """What a process of the tree is for: its module tells."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    line = " ".join(words)
    for module, name in (("qm_sip.media.engine", "engine"), ("qm_sip.recorder.renderer", "renderer")):
        if module in line:
            return name
    return "server" if pid == root else "other"


def usage(root: int) -> Usage:
    """CPU seconds used so far by the tree of `root`."""
    by_role: defaultdict[str, float] = defaultdict(float)
    by_thread: dict[str, float] = {}
    for process in tree(root):
        name = role(process.pid, root)
        by_role[name] += process.seconds
        by_role["ended"] += process.children_seconds
        for thread, seconds in _threads(process.pid, name):
            by_thread[thread] = by_thread.get(thread, 0.0) + seconds
    return Usage(dict(by_role), by_thread)


def _threads(pid: int, name: str) -> Iterator[tuple[str, float]]:
    """CPU of each living thread, by role and thread name (schedstat: nanoseconds on a CPU)."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            comm = (task / "comm").read_text().strip()
            yield f"{name}/{comm}", int((task / "schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
