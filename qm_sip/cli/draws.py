"""`qm-sip draws`: the seeds that samples are drawn by, and every lot of a day drawn again."""

from __future__ import annotations

from typing import Annotated

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import Status, brief, emit_json, listing, say

Day = Annotated[
    str, typer.Option("--day", help="Draw again every lot of this day (UTC), which must be over.")
]

LINES = ["line", "recorded", "left_out", "wrong", "largest_recorded", "smallest_left_out"]


def draws(
    day: Day = "", socket: Socket = None, config: OptionalConfig = None, as_json: Json = False
) -> Status:
    """Each day's commitment, and the seeds of days that are over. Ends with status 1 if something does not fit."""
    answer = ask(socket, config, "draws", **({"day": day} if day else {}))
    fits = all(row["ok"] is not False for row in answer["draws"]) and answer.get("ok", True)
    if as_json:
        emit_json(answer)
        return Status.OK if fits else Status.NO
    listing(brief(answer["draws"]), ["day", "commitment", "seed", "ok"], as_json=False, empty="no draws")
    if day:
        say("")
        rows = [row | {name: _exact(row[name]) for name in LINES[-2:]} for row in answer["lines"]]
        listing(rows, LINES, as_json=False, empty="nothing was drawn that day, or it was forgotten")
    return Status.OK if fits else Status.NO


def _exact(share: float | None) -> str | None:
    return None if share is None else f"{share:.6f}"
