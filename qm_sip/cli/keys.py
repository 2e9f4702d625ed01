"""`qm-sip keys`: make the keys that open recordings, and list for whom the server seals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import emit_json, listing, say
from qm_sip.policy.purposes import KNOWN
from qm_sip.recorder import keys as recorder_keys

app = typer.Typer(help="Keys of those who may open recordings.", no_args_is_help=True)

Purposes = Annotated[list[str], typer.Argument(help="Purposes to make a key for, such as coaching.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="Directory for the identity files; they belong elsewhere.")
]


@app.command()
def generate(purposes: Purposes, out: Out, as_json: Json = False) -> None:
    """Make an age identity for each purpose, and print what goes into qm_sip.toml."""
    unknown = sorted(set(purposes) - KNOWN)
    if unknown:
        known = ", ".join(sorted(KNOWN))
        raise typer.BadParameter(f"there is no purpose {unknown[0]!r}; there are {known}")
    made = recorder_keys.generate(out, purposes)
    if as_json:
        emit_json([{"purpose": k.purpose, "recipient": k.recipient, "path": str(k.path)} for k in made])
        return
    say(recorder_keys.recipients_table(made))
    say("# The files below open the recordings. Give them to their holders; keep none on this machine:")
    for key in made:
        say(f"# {key.path}")


@app.command("list")
def list_keys(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """For each purpose: the recipients the running server seals to, and the lines that record for it."""
    rows = ask(socket, config, "keys")["keys"]
    listing(rows, ["purpose", "recipients", "lines"], as_json=as_json)
