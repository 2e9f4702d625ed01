"""`qm-sip demo`: the options; the calls are in `qm_sip.cli.demo`, which no other command loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Report = Annotated[
    Path | None, typer.Option("--report", help="Also write what happened as JSON to this file.")
]


def demo(report: Report = None) -> None:
    """Make calls through a real Asterisk 22 and show what became of each; without root, phone to phone."""
    from qm_sip.cli.demo import run  # phones, pictures: only here

    raise typer.Exit(run(report))
