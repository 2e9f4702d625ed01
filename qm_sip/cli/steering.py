"""`qm-sip pause` and `record`: what a command may do to a running call. Private is done at the agent's own phone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import As, CallName, Json, OptionalConfig, Socket
from qm_sip.cli.output import record as show

Off = Annotated[bool, typer.Option("--off", help="Go on.")]


def pause(
    call: CallName,
    off: Off = False,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Keep and let hear nothing of a running call, for a card number: until --off, or by itself after a while."""
    show(ask(socket, config, "pause", call=call, on=not off), as_json=as_json)


def record(
    call: CallName,
    as_person: As,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Have your own running call recorded, on a line with capture = "on-request". As your key does."""
    asked: dict[str, Any] = {"call": call, "as": as_person}
    show(ask(socket, config, "record", **asked), as_json=as_json)
