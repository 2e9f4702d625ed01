"""Set-ups: calls of no length, one after the other, each with its prompt, catalog row and recording."""

from __future__ import annotations

from bench.load import LoadProgram, Report
from bench.server import Server


def measure(load: LoadProgram, rate: float, seconds: float) -> Report:
    """`rate` calls a second for `seconds`; the CPU of one set-up gives what a core could do."""
    total = int(rate * seconds)
    with Server() as server:
        before = server.usage()
        report = load.run(
            "setup",
            {
                "calls": 20_000,
                "total": total,
                "rate": rate,
                "connect-within": 15,
                "max-seconds": seconds + 45,
            },
        )
        server.rendered(30)
        used = server.usage().since(before)
        connected = report["calls"]["connected"]
        carrying = used.carrying / connected if connected else 0.0
        return {
            "rate": rate,
            "attempted": report["calls"]["attempted"],
            "connected": connected,
            "failures": report["calls"]["failures"],
            "resent": report["calls"]["requests_resent"],
            "achieved_per_s": report["setup"]["connected_per_s"],
            "answered": report["setup"]["answered"],
            "latency": report["setup"]["connected"],
            "cpu_ms_per_setup": carrying * 1e3,
            "rendering_ms_per_setup": used.rendering / connected * 1e3 if connected else 0.0,
            "by_role_ms": {name: value / max(connected, 1) * 1e3 for name, value in used.by_role.items()},
            "by_thread_ms": {
                name: value / max(connected, 1) * 1e3 for name, value in used.busiest(8).items()
            },
            "setups_per_core": 1 / carrying if carrying else 0.0,
            "server_said": "" if connected == total else server.said()[-500:],
        }
