"""Options that several commands share, each with the one sentence of help that it has everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigDir = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="QM_SIP_CONFIG", help="Directory with qm_sip.toml and the other files."
    ),
]
OptionalConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="QM_SIP_CONFIG",
        help="Configuration directory; its [control] socket is used.",
    ),
]
Socket = Annotated[
    Path | None, typer.Option("--socket", help="Control socket of the server, instead of --config.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CallName = Annotated[str, typer.Argument(help="Id of the call, as `qm-sip calls` shows it.")]
As = Annotated[str, typer.Option("--as", help="Who is asking: id of a person in people.toml.")]
OptionalAs = Annotated[
    str, typer.Option("--as", help="Who is asking. Only the privacy officer sees who phoned whom.")
]
PurposeName = Annotated[str, typer.Option("--purpose", help="For which purpose; it is checked and logged.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, the newest.")]
