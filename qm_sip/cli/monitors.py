"""`qm-sip monitors`: everybody who may listen or play; and the line for somebody's personal code."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import emit_json, listing, say
from qm_sip.policy.codes import hash_code

app = typer.Typer(help="Who may listen to running calls, or play recordings.", invoke_without_command=True)

Agent = Annotated[
    str, typer.Option("--agent", help="Only those who may listen to this agent (id in people.toml).")
]
Length = Annotated[
    int, typer.Option("--length", min=4, max=12, help="How many digits: code_length of the account.")
]

COLUMNS = ["person", "capacity", "may", "purposes", "modes", "agents", "expires", "usable", "because"]


@app.callback()
def monitors(
    context: typer.Context,
    agent: Agent = "",
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Everybody who may listen or play, for what, whom, until when; and whether it can be used today."""
    if context.invoked_subcommand is not None:
        return
    answer = ask(socket, config, "monitors", **({"agent": agent} if agent else {}))
    if as_json:
        emit_json(answer)
        return
    listing(answer["monitors"], COLUMNS, as_json=False, empty="nobody")
    if answer["questions_to"]:
        say(f"questions: {', '.join(answer['questions_to'])}")


@app.command()
def code(length: Length = 6) -> None:
    """Ask for a code twice, and print the line for [monitor.X] in people.toml. The code itself is kept nowhere."""
    chosen = typer.prompt("Code", hide_input=True, confirmation_prompt="Once more", err=True)
    if problem := fault_of(chosen, length):
        raise typer.BadParameter(problem)
    say(f'code_hash = "{hash_code(chosen)}"')


def fault_of(code: str, length: int) -> str:
    """What is wrong with a code that somebody chose; empty if nothing is."""
    if not (code.isascii() and code.isdigit() and len(code) == length):
        return f"a code is {length} digits"
    steps = {int(after) - int(before) for before, after in pairwise(code)}
    return "one digit again and again, or counting, is too easy to guess" if steps in ({0}, {1}, {-1}) else ""
