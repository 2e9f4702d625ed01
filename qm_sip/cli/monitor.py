"""`qm-sip monitor`: who listened to whom, when and why, and the notices that are owed afterwards."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import As, Json, Limit, OptionalConfig, Socket
from qm_sip.cli.output import Status, emit_json, listing

app = typer.Typer(help="Listening in: who did, when and why.", no_args_is_help=True)

Agent = Annotated[str, typer.Argument(help="Id of the agent in people.toml.")]
Sent = Annotated[str, typer.Option("--sent", help="This session's notice has been given: mark it.")]
Names = Annotated[
    str, typer.Option("--as", help="Who is asking; only the officer and the council see whom it is for.")
]

HISTORY = [
    "session",
    "requested",
    "monitor",
    "capacity",
    "purpose",
    "allowed",
    "reasons",
    "heard",
    "ended_by",
]
NOTICES = ["session", "call", "capacity", "purpose", "heard", "overdue"]


@app.command()
def history(
    agent: Agent,
    as_person: As,
    socket: Socket = None,
    config: OptionalConfig = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Who listened to this agent, or asked to, when and why. For himself, the privacy officer and the council."""
    asked: dict[str, Any] = {"agent": agent, "as": as_person, "limit": limit}
    rows = ask(socket, config, "monitor_history", **asked)["sessions"]
    listing(rows, HISTORY, as_json=as_json, empty="nobody listened")


@app.command()
def notices(
    as_person: Names = "",
    sent: Sent = "",
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> Status:
    """The notices afterwards that agents are owed (FAQ-A.8). Ends with status 1 if one is overdue."""
    asked = {name: value for name, value in (("as", as_person), ("sent", sent)) if value}
    told = ask(socket, config, "monitor_notices", **asked)
    if as_json:
        emit_json(told)
    else:
        columns = [*NOTICES, "agent", "monitor", "notice_due"] if as_person else NOTICES
        listing(told["notices"], columns, as_json=False, empty="no notice is due")
    return Status.NO if told["overdue"] else Status.OK
