"""Recorded calls: many at once, held together; CPU of what carries them, and of what renders them, apart."""

from __future__ import annotations

import time
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
        window = Window(server)
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
            "recordings": _recordings(server),
            "cpu": _cpu(window, report, server.usage(), before),
            "server_said": "" if report["calls"]["connected"] == held.calls else server.said()[-500:],
        }


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
    for row in server.rows("recordings", "list"):
        state = str(row.get("state", "unknown"))
        counted[state] = counted.get(state, 0) + 1
    return counted


def _cpu(window: Window, report: Report, total: Usage, before_rendering: Usage) -> Report:
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
        "calls_per_core": 60 / carrying if carrying else 0.0,
        "calls_per_core_with_rendering": 60 / (carrying + rendering) if carrying else 0.0,
        "cpu_us_per_packet": carrying / 60 / 100 * 1e6,
        "window_s": seconds,
        "by_role_s": used.by_role,
        "by_thread_s": dict(sorted(used.by_thread.items(), key=lambda item: -item[1])[:8]),
        "while_rendering_s": total.since(before_rendering).by_role,
    }
