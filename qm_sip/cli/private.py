"""`qm-sip private`: an agent's private calls. Switching one back is done at his own phone, and not here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import As, CallName, Json, OptionalConfig, Socket
from qm_sip.cli.output import record

app = typer.Typer(help="Private calls, for the agent whose they are.", no_args_is_help=True)

Mode = Annotated[str, typer.Option("--mode", help="next-call, or until-off: every call, for a day at most.")]


@app.command()
def on(
    as_person: As,
    mode: Mode = "next-call",
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Make your next call private before it comes. It can be taken back at your own phone only."""
    record(ask(socket, config, "private_on", mode=mode, **_as(as_person)), as_json=as_json)


@app.command()
def status(
    as_person: As, socket: Socket = None, config: OptionalConfig = None, as_json: Json = False
) -> None:
    """Whether your next call is private, and until when."""
    record(ask(socket, config, "private_status", **_as(as_person)), as_json=as_json)


@app.command()
def proof(
    call: CallName,
    as_person: As,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """What was kept and heard of a private call of yours: seconds recorded and listened to, and which way it went."""
    record(ask(socket, config, "private_proof", call=call, **_as(as_person)), as_json=as_json)


def _as(person: str) -> dict[str, Any]:
    return {"as": person}
