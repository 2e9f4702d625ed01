"""Recorded calls: many at once, held together; CPU of what carries them, and of what renders them, apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import LoadProgram, Report, losses, trustworthy
from bench.processes import Usage
from bench.server import Server


@dataclass(frozen=True)
class Held:
    """How many calls, how fast they come, how long they stay together."""

    calls: int
    rate: float
    seconds: float
    render_within: float = 60.0


WARM_UP = Held(6, 20, 0.5)
"""Before anything is measured: each renderer has loaded its libraries, caches are warm."""


class Window:
    """Reads the server's CPU when the load program says that the steady time begins and ends."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.marks: dict[str, tuple[float, Usage]] = {}

    def event(self, said: Report) -> None:
        self.marks[said["event"]] = (time.monotonic(), self.server.usage())

    @property
    def complete(self) -> bool:
        return {"steady", "leaving"} <= self.marks.keys()

    def used(self) -> tuple[float, Usage]:
        """Seconds of the window and the CPU used in it."""
        (began, before), (ended, after) = self.marks["steady"], self.marks["leaving"]
        return ended - began, after.since(before)


def measure(load: LoadProgram, held: Held) -> Report:
    """One server of its own, `held` through it, everything rendered, everything counted."""
    with Server() as server:
        warm = load.run("call", _options(WARM_UP))["calls"]["connected"]
        server.rendered(held.render_within)
        window, started = Window(server), server.usage()
        report = load.run("call", _options(held), on_event=window.event)
        ended, before = time.monotonic(), server.usage()
        complete = server.rendered(held.render_within)
        return {
            "calls": held.calls,
            "connected": report["calls"]["connected"],
            "failures": report["calls"]["failures"],
            "losses": losses(report),
            "packets": report["to_agent"]["received"] + report["to_customer"]["received"],
            "delay": report["delay_steady"],
            "setup": report["setup"],
            "load": report["own"],
            "doubts": trustworthy(report),
            "rendered": complete,
            "rendering_wait_s": round(time.monotonic() - ended, 1),
            "recordings": _recordings(server),  # those of the warm-up among them
            "warm_up": warm,
            "cpu": _cpu(window, report, server.usage().since(started), server.usage().since(before)),
            "server_said": "" if report["calls"]["connected"] == held.calls else server.said()[-500:],
        }


def rendering_of_a_call(runs: Sequence[Report], minutes: float) -> float | None:
    """CPU seconds per call-minute to render calls of that length.

    A recording costs something by itself (opening, sealing, the catalog) and something for each of its minutes; two
    runs with recordings of different length tell one from the other. None without two such runs.
    """
    points: list[tuple[float, float]] = sorted(
        (run["cpu"]["minutes_per_recording"], run["cpu"]["rendering_s_per_recording"])
        for run in runs
        if run["cpu"] and run["rendered"]
    )
    if len(points) < 2 or points[-1][0] < 1.5 * points[0][0]:
        return None
    (short, cheap), (long, dear) = points[0], points[-1]
    per_minute = max(0.0, (dear - cheap) / (long - short))
    by_itself = max(0.0, cheap - per_minute * short)
    return per_minute + by_itself / minutes


def _options(held: Held) -> dict[str, object]:
    leaving = held.calls / held.rate
    return {
        "calls": held.calls,
        "rate": held.rate,
        "hold": held.seconds,
        "together": True,
        "events": True,
        "connect-within": 15,
        "max-seconds": 2 * leaving + held.seconds + 30,
    }


def _recordings(server: Server) -> dict[str, int]:
    """Recordings in the catalog by state: as many as there were calls must be there."""
    counted: dict[str, int] = {}
    for row in server.rows("recordings", "list", "--limit", "10000"):
        state = str(row.get("state", "unknown"))
        counted[state] = counted.get(state, 0) + 1
    return counted


def _cpu(window: Window, report: Report, total: Usage, after_calls: Usage) -> Report:
    """CPU seconds per call-minute: carrying in the steady window, rendering over all that was recorded."""
    calls = report["steady"]["calls"]
    if not window.complete or not calls:
        return {}
    seconds, used = window.used()
    minutes = calls * seconds / 60
    # Everything heard, in minutes: one direction of one call is 50 packets a second.
    recorded_minutes = report["to_agent"]["received"] / 50 / 60
    carrying = used.carrying / minutes
    rendering = total.rendering / recorded_minutes if recorded_minutes else 0.0
    return {
        "carrying_s_per_call_minute": carrying,
        "rendering_s_per_call_minute": rendering,
        "rendering_s_per_recording": total.rendering / calls,
        "minutes_per_recording": recorded_minutes / calls,
        "calls_per_core": 60 / carrying if carrying else 0.0,
        "calls_per_core_with_rendering": 60 / (carrying + rendering) if carrying else 0.0,
        "cpu_us_per_packet": carrying / 60 / 100 * 1e6,
        "window_s": seconds,
        "by_role_s": used.by_role,
        "by_thread_s": used.busiest(8),
        "while_rendering_s": after_calls.by_role,
    }
