"""`qm-sip lines` and `qm-sip people`: the settings in force, without numbers or names."""

from __future__ import annotations

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import listing


def lines(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """The lines in force: kind, what is done on them, for what, and how customers are told."""
    rows = ask(socket, config, "lines")["lines"]
    columns = ["line", "kind", "capture", "listen", "purposes", "prompt", "languages", "announce", "matches"]
    listing(rows, columns, as_json=as_json)


def people(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """Who may be monitored, and who may play recordings, by their ids."""
    answer = ask(socket, config, "people")
    rows = answer["agents"] + answer["monitors"]
    listing(rows, ["person", "role", "monitorable", "may", "purposes", "usable", "because"], as_json=as_json)
