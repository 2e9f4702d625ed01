"""`python -m bench`: measure, print a table, write the figures as JSON.

Exit status 1 only if the bench itself broke; a target that is not met is a figure like any other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import compare, machine, page, recorded, report, setups
from bench.compare import Ladder
from bench.load import ROOT, BenchBroke, LoadProgram, Report, build
from bench.probes import probe
from bench.recorded import Held


@dataclass(frozen=True)
class Size:
    """How much is measured. `main_calls` is the run that the targets are judged by."""

    probe_seconds: float
    probe_calls: tuple[int, ...]
    recorded: tuple[Held, ...]
    main_calls: int
    upward: tuple[int, ...]
    setup_rate: float
    setup_seconds: float
    beside: Ladder


BESIDE = Ladder(60, (100, 200, 300, 400), 4, 500)
FULL = Size(8, (100, 300), (Held(100, 50, 45), Held(300, 40, 15)), 300, (400, 500, 600), 100, 10, BESIDE)
QUICK = Size(4, (100,), (Held(20, 40, 12), Held(100, 40, 4, 20)), 100, (), 100, 4, Ladder(60, (), 3, 100))
UPWARD = Held(0, 50, 12, 40)
BUDGET = 330.0  # seconds after which no further step upward is begun; set-ups come after


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(size: Size, load: LoadProgram, *, engine: bool) -> Report:
    """Everything, in order; what the server cannot do yet is left out and said."""
    began = time.monotonic()
    figures: Report = {"machine": machine.describe(), "main_calls": size.main_calls, "broken": []}
    figures["probes"] = [
        probe(load, calls, size.probe_seconds, connected=connected)
        for calls in size.probe_calls
        for connected in (False, True)
    ]
    if engine:
        from bench.engine import measure  # needs the built extension

        figures["engine"] = [measure(load, held.calls, held.seconds) for held in size.recorded]
    figures["recorded"] = []
    for held in size.recorded:
        _step(figures, f"{held.calls} recorded calls", partial(_record, figures, load, held))
    for calls in size.upward:
        if not _may_go_up(figures) or time.monotonic() - began > BUDGET - 75:
            break
        held = Held(calls, UPWARD.rate, UPWARD.seconds, UPWARD.render_within)
        _step(figures, f"{calls} recorded calls", partial(_record, figures, load, held))
    _step(figures, "set-ups", partial(_setups, figures, load, size))
    _step(figures, "set-ups beside others", partial(_beside, figures, load, size))
    figures["targets"] = [target.to_json() for target in report.targets(figures)]
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


def setups_alone(size: Size, load: LoadProgram) -> Report:
    """The part about set-ups, by itself: less than half of the whole in time."""
    began = time.monotonic()
    figures: Report = {"machine": machine.describe(), "main_calls": size.main_calls, "broken": []}
    _step(figures, "set-ups", partial(_setups, figures, load, size))
    _step(figures, "set-ups beside others", partial(_beside, figures, load, size))
    figures["targets"] = [target.to_json() for target in report.targets(figures)]
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


def _step(figures: Report, what: str, work: Callable[[], None]) -> None:
    say(f"measuring {what} ...")
    try:
        work()
    except BenchBroke as broke:
        say(f"  {broke}")
        figures["broken"].append(f"{what}: {broke}")


def _record(figures: Report, load: LoadProgram, held: Held) -> None:
    figures["recorded"].append(recorded.measure(load, held))


def _setups(figures: Report, load: LoadProgram, size: Size) -> None:
    figures["setups"] = setups.measure(load, size.setup_rate, size.setup_seconds)


def _beside(figures: Report, load: LoadProgram, size: Size) -> None:
    figures["compared"] = compare.measure(load, size.beside, say)


def _may_go_up(figures: Report) -> bool:
    """The last step was carried whole: every call connected, nothing lost."""
    last = figures["recorded"][-1] if figures["recorded"] else None
    return last is not None and last["connected"] == last["calls"] and not any(last["losses"].values())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="How many recorded calls one core carries."
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, below 90 seconds")
    parser.add_argument("--engine", action="store_true", help="also the media engine alone, without SIP")
    parser.add_argument("--setups", action="store_true", help="set-ups alone, ours and the others'")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--page", action="store_true", help="write the figures into docs/performance.md")
    parser.add_argument("--qm-load", type=Path, help="this load program, instead of building it")
    options = parser.parse_args()
    try:
        load = LoadProgram(options.qm_load or build())
        size = QUICK if options.quick else FULL
        figures = setups_alone(size, load) if options.setups else run(size, load, engine=options.engine)
    except BenchBroke as broke:
        say(f"bench: {broke}")
        return 1
    target = options.json or ROOT / "bench" / "results" / "latest.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    if options.page and not options.setups:
        page.write(figures)
    print(json.dumps(figures, indent=2))
    say("\n" + report.text(figures) + f"\n\n{figures['seconds']:.0f} s; figures in {target}")
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
