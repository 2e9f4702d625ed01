"""`qm-sip lines` and `qm-sip people`: the settings in force, without numbers or names; and what one number is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import listing
from qm_sip.config import Config, load
from qm_sip.config.registry import day_of
from qm_sip.private import Private
from qm_sip.privateline.lookup import look_up

Number = Annotated[
    str, typer.Option("--of", help="Say what this number is by the files of --config; no server is asked.")
]


def _read(config: Path | None) -> Config:
    if config is None:
        raise typer.BadParameter("also needs --config: it reads the files there", param_hint="--of")
    return load(config)


def lines(
    of: Number = "", socket: Socket = None, config: OptionalConfig = None, as_json: Json = False
) -> None:
    """The lines in force: kind, what is done on them, for what, and how customers are told. Or what a number is."""
    if of:
        found = look_up(_read(config), Private(of), day_of(datetime.now(UTC)))
        listing(found, ["list", "rule", "in_force", "since", "until", "reason", "source"], as_json=as_json)
        return
    rows = ask(socket, config, "lines")["lines"]
    columns = ["line", "kind", "capture", "listen", "purposes", "prompt", "languages", "announce", "matches"]
    listing(rows, columns, as_json=as_json)


def people(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """Who may be monitored, and who may play recordings, by their ids."""
    answer = ask(socket, config, "people")
    rows = answer["agents"] + answer["monitors"]
    listing(rows, ["person", "role", "monitorable", "may", "purposes", "usable", "because"], as_json=as_json)
