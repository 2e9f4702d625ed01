"""The wall: what bare forwarding of the same packets costs, in the same run on the same CPUs."""

from __future__ import annotations

from bench.load import LoadProgram, Report, losses, trustworthy
from bench.machine import cpus


def probe(load: LoadProgram, calls: int, seconds: float, *, connected: bool = False) -> Report:
    """`calls` through one forwarding thread: epoll, receive, send."""
    report = load.run(
        "probe",
        {
            "calls": calls,
            "seconds": seconds,
            "cpu": cpus().load,
            "forwarder-cpu": cpus().tested,
            "connected": connected,
        },
    )
    return {
        "calls": calls,
        "connected_sockets": connected,
        "cpu_us_per_packet": report["forwarder"]["cpu_us_per_packet"],
        "calls_per_core": report["calls_per_core"],
        "delay": report["media"]["delay_steady"],
        "losses": losses(report["media"]),
        "doubts": trustworthy(report["media"]),
    }
