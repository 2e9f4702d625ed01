"""Set-ups beside others: the same calls of the same load program through qm_sip, Asterisk 22 and sippy, in one run.

Of each program: the CPU of one call at a rate that all of them carry, the highest rate of a ladder that it carries on
one CPU and the CPU of one call there (what is done in one go for several calls makes it less: set-ups a core are
counted by it), and how much its memory grows with each call that stands.

What they do for a call differs, so each row says it: a bridge and a hand-on know nothing of prompts, decisions and
recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bench.load import BenchBroke, LoadProgram, Report
from bench.processes import Usage
from bench.rivals import AsteriskBridge, Missing, Sippy
from bench.server import DIRECT, Server


class Running(Protocol):
    """A program under test while it runs."""

    target: str

    def usage(self) -> Usage: ...
    def memory(self) -> int: ...
    def settled(self) -> object: ...
    def said(self) -> str: ...


@dataclass(frozen=True)
class Subject:
    name: str
    does: str  # what it does for each call
    start: Callable[[], AbstractContextManager[Running]]


SUBJECTS = (
    Subject("qm_sip, direct", "an unlisted line: decided, passed on, media past it", lambda: Server(DIRECT)),
    Subject("qm_sip, recorded", "prompt, tapped relay, catalog, recording rendered", Server),
    Subject("asterisk", "Dial: bridged, media through it", AsteriskBridge),
    Subject("sippy", "b2bua_simple: passed on, media past it", Sippy),
)


@dataclass(frozen=True)
class Ladder:
    """`common`: calls a second at which CPU is compared; `steps`: what is tried after it; `standing`: for memory."""

    common: float
    steps: tuple[float, ...]
    seconds: float
    standing: int


def measure(load: LoadProgram, ladder: Ladder, say: Callable[[str], None] = lambda _: None) -> Report:
    rows: list[Report] = []
    missing: dict[str, str] = {}
    for subject in SUBJECTS:
        say(f"  {subject.name}")
        try:
            with subject.start() as running:
                rows.append({"name": subject.name, "does": subject.does, **_one(load, ladder, running)})
        except Missing as why:
            missing[subject.name] = str(why)
        except BenchBroke as broke:
            missing[subject.name] = f"it broke: {broke}"
    return {
        "common_rate": ladder.common,
        "seconds": ladder.seconds,
        "standing": ladder.standing,
        "rows": rows,
        "missing": missing,
    }


def _one(load: LoadProgram, ladder: Ladder, running: Running) -> Report:
    _set_ups(load, running, 20, 1.0)  # libraries loaded, caches warm
    memory = _memory(load, running, ladder)  # before the ladder: what it leaves behind would be used again
    common = _set_ups(load, running, ladder.common, ladder.seconds)
    steps = [common]
    for rate in ladder.steps:
        if not steps[-1]["carried"]:
            break
        steps.append(_set_ups(load, running, rate, ladder.seconds))
    carried = [step for step in steps if step["carried"]]
    best = carried[-1] if carried else {"rate": None, "cpu_ms": None}
    return {
        "version": getattr(running, "version", ""),
        "cpu_ms_per_setup": common["cpu_ms"],
        "cpu_ms_carried": best["cpu_ms"],
        "setups_per_core": 1e3 / best["cpu_ms"] if best["cpu_ms"] else None,
        "carried_rate": best["rate"],
        "steps": steps,
        **memory,
    }


def _set_ups(load: LoadProgram, running: Running, rate: float, seconds: float) -> Report:
    """That many a second. Carried: every call connected, ended, and nothing had to be sent twice."""
    total = round(rate * seconds)
    before = running.usage()
    options = {"calls": 20_000, "total": total, "rate": rate, "connect-within": 15}
    options |= {"target": running.target, "max-seconds": seconds + 45}
    report = load.run("setup", options)
    running.settled()
    used, calls = running.usage().since(before), report["calls"]
    whole = calls["connected"] == total and not calls["agent_legs_left"]
    again = calls["requests_resent"] + calls["answers_resent"]
    return {
        "rate": rate,
        "connected": calls["connected"],
        "attempted": calls["attempted"],
        "failures": calls["failures"],
        "sent_again": again,
        "answered_p99_ms": report["setup"]["answered"]["p99_ms"],
        "cpu_ms": sum(used.by_role.values()) / calls["connected"] * 1e3 if calls["connected"] else None,
        "by_role_ms": {role: s / max(calls["connected"], 1) * 1e3 for role, s in used.by_role.items()},
        "carried": whole and not again,
        "said": "" if whole else running.said(),
    }


def _memory(load: LoadProgram, running: Running, ladder: Ladder) -> Report:
    """How much resident memory grows while so many calls stand, without media."""
    calls, before, standing = ladder.standing, running.memory(), []
    options = {"calls": calls, "rate": ladder.common, "hold": 2, "together": True, "events": True}
    options |= {"connect-within": 15, "max-seconds": calls / 20 + 60, "target": running.target}

    def seen(event: Report) -> None:
        if event["event"] == "steady":
            standing.append((event["calls"], running.memory()))

    load.run("setup", options, on_event=seen)
    running.settled()
    if not standing or not standing[0][0]:
        return {"memory_idle_mib": before / 2**20, "memory_kib_per_call": None}
    up, memory = standing[0]
    return {"memory_idle_mib": before / 2**20, "memory_kib_per_call": (memory - before) / up / 1024}
