"""`qm-sip calls`, `explain` and `ledger`: what became of each call, and why."""

from __future__ import annotations

from typing import Any

from qm_sip.cli.ask import ask
from qm_sip.cli.options import CallName, Json, Limit, OptionalAs, OptionalConfig, Socket
from qm_sip.cli.output import brief, emit_json, listing, record, say

FIRST = ("call", "outcome", "because", "line", "state", "seconds", "recorded_seconds")  # of `explain`
COLUMNS = ["call", "line", "direction", "state", "outcome", "seconds", "recorded_seconds", "reasons"]


def calls(
    socket: Socket = None,
    config: OptionalConfig = None,
    limit: Limit = 50,
    as_person: OptionalAs = "",
    as_json: Json = False,
) -> None:
    """The newest calls, running ones included. Confidential calls are in no listing: see `ledger`."""
    rows = ask(socket, config, "calls", limit=limit, **_as(as_person))["calls"]
    columns = [*COLUMNS, "started", "parties"] if as_person else COLUMNS
    listing(rows, columns, as_json=as_json, empty="no calls")


def explain(
    call: CallName,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_person: OptionalAs = "",
    as_json: Json = False,
) -> None:
    """Every decision about a call with its reasons, in order; what was told; how its time was spent."""
    told = ask(socket, config, "explain", call=call, **_as(as_person))
    if as_json:
        emit_json(told)
        return
    about = {key: value for key, value in told["call"].items() if key != "reasons"}  # `because` holds them
    record(brief({key: about[key] for key in FIRST if key in about} | about), as_json=False)
    for part in (
        "parties",
        "told",
        "objections",
        "decisions",
        "transfers",
        "spans",
        "sessions",
        "recordings",
    ):
        rows: list[dict[str, Any]] = brief(told.get(part) or [])
        say("")
        columns = list(dict.fromkeys(key for row in rows for key in row))
        listing(rows, columns, as_json=False, title=part, empty=f"{part}: none")


def ledger(
    socket: Socket = None, config: OptionalConfig = None, limit: Limit = 1000, as_json: Json = False
) -> None:
    """One line for each call with its one outcome, totals that add up, confidential calls counted."""
    answer = ask(socket, config, "ledger", limit=limit)
    if as_json:
        emit_json(answer)
        return
    columns = ["call", "direction", "kind", "outcome", "reason", "seconds", "recorded_seconds", "recordings"]
    listing(answer["calls"], columns, as_json=False, empty="no calls")
    say("")
    listing(
        answer["totals"], ["outcome", "calls", "seconds"], as_json=False, title="totals", empty="totals: none"
    )
    say("")
    listing(answer["confidential"], ["day", "count"], as_json=False, empty="confidential calls: none")


def _as(person: str) -> dict[str, str]:
    return {"as": person} if person else {}
