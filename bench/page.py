"""docs/performance.md: the figures of one run, written between two marks; the rest is written by hand."""

from __future__ import annotations

from pathlib import Path

from bench import report
from bench.load import ROOT, Report

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin (written by `python -m bench --page`) -->", "<!-- figures: end -->"


def write(figures: Report, path: Path = PAGE) -> None:
    path.write_text(replaced(path.read_text(), figures))


def replaced(page: str, figures: Report) -> str:
    """The page with these figures in the place of the former ones."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError("docs/performance.md has lost the marks between which the figures stand")
    return f"{head}{BEGIN}\n{section(figures)}\n{END}{tail}"


def section(figures: Report) -> str:
    machine = figures["machine"]
    pinned = machine["pinned"]
    where = (
        f"load program on CPU {pinned['load']}, program under test on CPU {pinned['tested']}"
        if pinned["load"] is not None
        else "one CPU, shared by load program and program under test"
    )
    lines = [
        f"{machine['date']}: {machine['cpus']} × {machine['cpu']} (virtual), {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}; {where}. "
        f"Before the run other work kept {machine['other_work']:.2f} CPUs busy. "
        f"The run took {figures['seconds']:.0f} s.",
        "",
        "```text",
        report.text(figures),
        "```",
    ]
    return "\n".join(lines)
