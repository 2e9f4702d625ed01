"""Targets, and the figures as a table a human reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.load import Report
from bench.recorded import rendering_of_a_call

CALLS_PER_CORE = 300
DELAY_RATIO = 2.0
SETUPS_PER_CORE = 300  # of calls that are decided and passed on, both legs and their media planned
RECORDED_SETUPS_PER_CORE = 100
TIMES_OTHERS = 2.0
CALL_MINUTES = 3.0  # an ordinary call of a contact centre


@dataclass(frozen=True)
class Target:
    says: str
    value: float | None  # None: could not be measured
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def to_json(self) -> Report:
        return {"says": self.says, "value": self.value, "limit": self.limit, "met": self.met}


def delay_ratio(run: Report, probes: Iterable[Report]) -> float | None:
    """p99 one way over that of the bare forwarder at the nearest number of calls (unconnected sockets)."""
    bare = [probe for probe in probes if not probe["connected_sockets"]]
    if not bare or not run["delay"]["count"]:
        return None
    nearest = min(bare, key=lambda probe: abs(probe["calls"] - run["calls"]))
    return run["delay"]["p99_ms"] / nearest["delay"]["p99_ms"] if nearest["delay"]["p99_ms"] else None


def per_core_with_rendering(figures: Report, cpu: Report) -> float | None:
    """Calls per core when the same core also renders them, for calls of an ordinary length."""
    rendering = rendering_of_a_call(figures.get("recorded", []), CALL_MINUTES)
    if rendering is None or not cpu:
        return None
    return 60 / (float(cpu["carrying_s_per_call_minute"]) + rendering)


def targets(figures: Report) -> list[Target]:
    """The sentences of the aim, each with what was measured."""
    runs, probes = figures.get("recorded", []), figures.get("probes", [])
    main = next((run for run in runs if run["calls"] == figures.get("main_calls")), None)
    setups = figures.get("setups")
    lost = sum(main["losses"].values()) if main and main["connected"] else None
    cpu = main["cpu"] if main else {}
    return [
        Target("recorded calls per core, carrying", cpu.get("calls_per_core"), CALLS_PER_CORE, at_least=True),
        Target(
            f"recorded calls per core, rendering included, calls of {CALL_MINUTES:.0f} minutes",
            per_core_with_rendering(figures, cpu),
            CALLS_PER_CORE,
            at_least=True,
        ),
        Target("packets lost, doubled, damaged or crossed", lost, 0, at_least=False),
        Target(
            "one-way p99 over the bare forwarder's",
            delay_ratio(main, probes) if main else None,
            DELAY_RATIO,
            at_least=False,
        ),
        Target(
            "set-ups a second per core, announced and recorded",
            setups["setups_per_core"] if setups and setups["connected"] else None,
            RECORDED_SETUPS_PER_CORE,
            at_least=True,
        ),
        *_beside_others(figures),
    ]


def _beside_others(figures: Report) -> list[Target]:
    """Direct calls against the aim and against the others, from the same run; nothing where it was not run."""
    if "compared" not in figures:
        return []
    per_core = {row["name"]: row["setups_per_core"] for row in figures["compared"]["rows"]}
    ours = per_core.get("qm_sip, direct")
    said = "set-ups a second per core, passed on with media direct"
    found = [Target(said, ours, SETUPS_PER_CORE, at_least=True)]
    for name, who in (("asterisk", "Asterisk 22's bridge"), ("sippy", "sippy's b2bua_simple")):
        theirs = per_core.get(name)
        times = ours / theirs if ours and theirs else None
        found.append(Target(f"the same over {who}", times, TIMES_OTHERS, at_least=True))
    return found


def table(rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell; the first line is the heading."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(
        line.rstrip() for line in [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
    )


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _delay(delay: Report) -> list[str]:
    return [_number(delay[name], 2) for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms")]


def _probe_row(probe: Report) -> list[str]:
    kind = "connected" if probe["connected_sockets"] else "unconnected"
    per_minute = probe["cpu_us_per_packet"] * 6000 / 1e6
    per_core, lost = _number(probe["calls_per_core"], 0), str(probe["losses"]["lost"])
    calls = str(probe["calls"])
    return [
        f"bare forwarding, {kind}",
        calls,
        _number(per_minute, 3),
        per_core,
        *_delay(probe["delay"]),
        lost,
    ]


def _run_rows(what: str, run: Report) -> list[list[str]]:
    cpu, calls = run["cpu"], f"{run['connected']}/{run['calls']}"
    carrying, per_core = cpu.get("carrying_s_per_call_minute"), cpu.get("calls_per_core")
    delay, lost = _delay(run["delay"]), str(run["losses"]["lost"])
    rows = [[what, calls, _number(carrying, 3), _number(per_core, 0), *delay, lost]]
    if carrying is not None and "calls_per_core_with_rendering" in cpu:
        both = carrying + cpu["rendering_s_per_call_minute"]
        per_core = cpu["calls_per_core_with_rendering"]
        seconds = f"{cpu['minutes_per_recording'] * 60:.0f}"
        rows.append(
            [f"  and rendered ({seconds} s each)", "", _number(both, 3), _number(per_core, 0), *[""] * 5]
        )
    return rows


def media_table(figures: Report) -> str:
    rows = [["", "calls", "CPU s/call-min", "calls/core", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "lost"]]
    rows.extend(_probe_row(probe) for probe in figures.get("probes", []))
    for name, what in (("engine", "engine alone, recorded"), ("recorded", "recorded calls")):
        for run in figures.get(name, []):
            rows.extend(_run_rows(what, run))
    return table(rows)


def setup_table(setups: Report) -> str:
    heading = ["set-ups", "connected", "a second", "CPU ms each", "per core", "200 p99 ms", "agent p99 ms"]
    row = [
        f"{setups['rate']:.0f}/s offered",
        f"{setups['connected']}/{setups['attempted']}",
        _number(setups["achieved_per_s"]),
        _number(setups["cpu_ms_per_setup"], 2),
        _number(setups["setups_per_core"], 0),
        _number(setups["answered"]["p99_ms"]),
        _number(setups["latency"]["p99_ms"]),
    ]
    return table([heading, row])


def compared_table(compared: Report) -> str:
    """Every program under the same calls; what it does for one stands under the table."""
    at = f"{compared['common_rate']:.0f}/s"
    heading = ["set-ups beside others", f"CPU ms each at {at}", "carried/s", "CPU ms each there", "per core"]
    heading += [f"200 p99 ms at {at}", "idle MiB"]
    rows = [[*heading, "KiB a standing call"]]
    for row in compared["rows"]:
        rows.append(
            [
                row["version"] or row["name"],
                _number(row["cpu_ms_per_setup"], 2),
                _number(row["carried_rate"], 0),
                _number(row["cpu_ms_carried"], 2),
                _number(row["setups_per_core"], 0),
                _number(row["steps"][0]["answered_p99_ms"]),
                _number(row["memory_idle_mib"], 0),
                _number(row["memory_kib_per_call"], 0),
            ]
        )
    lines = [table(rows), ""]
    lines.extend(f"  {row['version'] or row['name']}: {row['does']}" for row in compared["rows"])
    lines.extend(f"  {name} is missing: {why}" for name, why in compared["missing"].items())
    return "\n".join(lines)


def target_table(found: list[Target]) -> str:
    rows = [["target", "measured", "wanted", ""]]
    for target in found:
        sign = ">=" if target.at_least else "<="
        rows.append(
            [
                target.says,
                _number(target.value, 2),
                f"{sign} {target.limit:g}",
                "met" if target.met else "NOT MET",
            ]
        )
    return table(rows)


def doubts(figures: Report) -> list[str]:
    """What makes a figure less than certain: a late load program, failed calls, renders left over."""
    said: list[str] = []
    for name in ("probes", "engine", "recorded"):
        for run in figures.get(name, []):
            said.extend(f"{name} {run['calls']}: {doubt}" for doubt in run["doubts"])
            if run.get("failures"):
                said.append(f"{name} {run['calls']}: calls failed: {run['failures']}")
            if run.get("rendered") is False:
                said.append(f"{name} {run['calls']}: not everything was rendered in time")
    return said


def text(figures: Report) -> str:
    """The whole report."""
    parts = [media_table(figures)] if figures.get("probes") else []
    if figures.get("setups"):
        parts.append(setup_table(figures["setups"]))
    if figures.get("compared"):
        parts.append(compared_table(figures["compared"]))
    found_targets = targets(figures) if figures.get("recorded") else _beside_others(figures)
    if found_targets:
        parts.append(target_table(found_targets))
    if found := doubts(figures):
        parts.append("\n".join(["doubts:", *(f"  {doubt}" for doubt in found)]))
    return "\n\n".join(parts)
