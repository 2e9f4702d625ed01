"""`qm-sip retention`: what goes when, and letting go what is due."""

from __future__ import annotations

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, Limit, OptionalConfig, Socket
from qm_sip.cli.output import Status, listing, record

app = typer.Typer(help="Retention: what goes when, and by which rule.", no_args_is_help=True)

COLUMNS = ["recording", "purpose", "rule", "day", "last", "held", "restricted", "overdue"]


@app.command()
def due(
    socket: Socket = None, config: OptionalConfig = None, limit: Limit = 1000, as_json: Json = False
) -> None:
    """When each purpose of each recording ends, the nearest first. With its last purpose a recording goes."""
    rows = ask(socket, config, "retention_due", limit=limit)["due"]
    listing(rows, COLUMNS, as_json=as_json, empty="nothing is kept")


@app.command()
def run(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> Status:
    """Let the server destroy what is due, now. It does so by itself; nothing else can be destroyed by this."""
    done = ask(socket, config, "retention_run")
    record(done, as_json=as_json)
    return Status.FAILED if done["failed"] else Status.OK
