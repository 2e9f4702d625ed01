"""`qm-sip monitor`: listen, stop; who listens, who listened to whom, when and why; the notices owed afterwards."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import As, Json, Limit, OptionalConfig, PurposeName, Socket
from qm_sip.cli.output import Status, emit_json, listing, record

app = typer.Typer(help="Listening in: begin, end; who does, who did, when and why.", no_args_is_help=True)

Extension = Annotated[str, typer.Argument(help="The agent's extension.")]
SessionName = Annotated[str, typer.Argument(help="Id of the session, as `qm-sip monitor list` shows it.")]
Agent = Annotated[str, typer.Argument(help="Id of the agent in people.toml.")]
Sent = Annotated[str, typer.Option("--sent", help="This session's notice has been given: mark it.")]
Names = Annotated[
    str, typer.Option("--as", help="Who is asking; only the officer and the council see whom it is for.")
]
Whose = Annotated[
    str,
    typer.Option("--as", help="Who is asking; who and whom is for the two, the officer and the council."),
]

RUNNING, NAMES = ["session", "purpose", "step", "seconds"], ["monitor", "agent"]
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
def start(
    extension: Extension,
    as_person: As,
    purpose: PurposeName,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Let the server ring your phone, so that you listen to an agent. Your code is asked there; he is told first."""
    asked: dict[str, Any] = {"extension": extension, "as": as_person, "purpose": purpose}
    record(ask(socket, config, "monitor_start", **asked), as_json=as_json)


@app.command()
def stop(
    session: SessionName, socket: Socket = None, config: OptionalConfig = None, as_json: Json = False
) -> None:
    """End a session. Anybody may, who may use the server."""
    record(ask(socket, config, "monitor_stop", session=session), as_json=as_json)


@app.command("list")
def list_sessions(
    as_person: Whose = "", socket: Socket = None, config: OptionalConfig = None, as_json: Json = False
) -> None:
    """Who listens now, or is about to: for what, and how far he is."""
    rows = ask(socket, config, "monitor_list", **({"as": as_person} if as_person else {}))["sessions"]
    listing(rows, [*RUNNING, *NAMES] if as_person else RUNNING, as_json=as_json, empty="nobody listens")


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
