"""Whether samples were drawn fairly: `draws` (KSF15-0.2). Days, commitments, the seeds of days that are over; and for
one such day every lot drawn again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Any

from qm_sip.control.requests import BadRequest, NotFound, word
from qm_sip.policy.draw import commitment, draw
from qm_sip.policy.facts import CallId
from qm_sip.policy.reasons import NOT_DRAWN

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials
    from qm_sip.recorder.catalog import Catalog

Row = dict[str, Any]

_WHOLE = 2**64


def handlers(state: ServerState) -> dict[str, Handler]:
    async def draws(request: Row, peer: PeerCredentials) -> Row:
        """Every day; or one, drawn again."""
        if "day" not in request:
            return {"draws": [_shown(row) for row in await asyncio.to_thread(state.catalog.draws)]}
        try:
            day = date.fromisoformat(word(request, "day"))
        except ValueError:
            raise BadRequest("day must be a date such as 2026-03-02") from None
        return await asyncio.to_thread(_of_day, state.catalog, day)

    return {"draws": draws}


def _shown(row: Row) -> Row:
    """`ok`: the revealed seed is the one that was committed to; None while it is not revealed."""
    return dict(row) | {"ok": _fits(row)}


def _fits(row: Row) -> bool | None:
    return commitment(bytes.fromhex(row["seed"])) == row["commitment"] if row["seed"] else None


def _of_day(catalog: Catalog, day: date) -> Row:
    row = next((one for one in catalog.draws() if one["day"] == day.isoformat()), None)
    if row is None:
        raise NotFound(f"no seed was committed to for {day}: see `qm-sip draws`")
    if not row["seed"]:
        raise NotFound(f"the seed of {day} is not revealed before that day is over (UTC)")
    lines = _drawn_again(catalog, bytes.fromhex(row["seed"]), row["commitment"], day)
    wrong = sum(line["wrong"] for line in lines)
    return {"draws": [_shown(row)], "lines": lines, "ok": bool(_fits(row)) and not wrong}


class _Line:
    """What is counted of a line: calls recorded and left out, and lots that are not what the seed gives."""

    def __init__(self) -> None:
        self.recorded: list[int] = []
        self.left_out: list[int] = []
        self.wrong = 0


def _drawn_again(catalog: Catalog, secret: bytes, committed: str, day: date) -> list[Row]:
    """Of each line; a call whose line was forgotten (its time is over) cannot be drawn again."""
    lines: dict[str, _Line] = defaultdict(_Line)
    for row in catalog.drawn_by(committed):
        if row["line"]:
            lot, line = draw(secret, CallId(row["call"]), row["line"]), lines[row["line"]]
            line.recorded.append(lot)
            line.wrong += row["draw"] != f"{lot:016x}"
    for row in catalog.calls_because(NOT_DRAWN.code):
        if row["line"] and row["started"][:10] == day.isoformat():
            lines[row["line"]].left_out.append(draw(secret, CallId(row["id"]), row["line"]))
    return [
        {
            "line": name,
            "recorded": len(line.recorded),
            "left_out": len(line.left_out),
            "wrong": line.wrong,
            "largest_recorded": _share(max(line.recorded, default=None)),
            "smallest_left_out": _share(min(line.left_out, default=None)),
        }
        for name, line in sorted(lines.items())
    ]


def _share(lot: int | None) -> float | None:
    """A lot as a share from 0 to 1; `sample` lies between the largest recorded and the smallest left out."""
    return None if lot is None else round(lot / _WHOLE, 6)
