"""`qm-sip status`, `taps` and `reload`: the running server itself."""

from __future__ import annotations

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import listing, record


def status(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """Since when the server runs, with which rules, how many calls and taps there are."""
    record(ask(socket, config, "status"), as_json=as_json)


def taps(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """Every path by which audio of a running call reaches something else than its parties (KSF15-1.3a)."""
    rows = ask(socket, config, "taps")["taps"]
    listing(rows, ["tap", "call", "use", "purposes", "seconds", "paused"], as_json=as_json, empty="no taps")


def reload(socket: Socket = None, config: OptionalConfig = None, as_json: Json = False) -> None:
    """Let the server read its files again. With an error in them the old settings stay in force."""
    record(ask(socket, config, "reload"), as_json=as_json)
