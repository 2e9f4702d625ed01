"""`qm-sip demo`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from qm_sip.cli.output import Status, console, say

Report = Annotated[Path | None, typer.Option("--report", help="Write what happened as JSON to this file.")]
PhonesOnly = Annotated[bool, typer.Option("--phones-only", help="No Asterisk: phones and qm_sip alone.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", help="Directory of recordings and logs; demo-output/TIME if not given."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Play only this scene; may be given more than once."),
]


def demo(
    report: Report = None, phones_only: PhonesOnly = False, output: Output = None, only: Only = None
) -> int:
    """Real phones, a real Asterisk 22 and this program: eleven calls, and what became of them."""
    from qm_sip.demo import show  # phones, plots and Asterisk: nothing that any other command needs

    scenes = show.chosen(only or [])

    if os.geteuid() != 0 and not phones_only:
        say("Not root: Asterisk runs in a chroot and cannot start. Playing phone to phone, without Asterisk.")
        phones_only = True
    directory = output or Path("demo-output") / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    shown = show.run(directory.absolute(), scenes, phones_only=phones_only, console=console())
    show.print_end(shown, console())
    if report is not None:
        show.write_report(report, shown)
        say(f"The same as JSON:             {report}")
    return int(Status.OK if shown.ok else Status.NO)
