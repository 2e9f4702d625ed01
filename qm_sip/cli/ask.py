"""A request to the running server, found by --socket, --config, or at its usual place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from qm_sip import config as settings
from qm_sip.config.server import Control
from qm_sip.control import client


def socket_path(socket: Path | None, config: Path | None) -> Path:
    if socket is not None:
        return socket
    if config is not None:
        return settings.load_server(config).control.socket
    return Control().socket


def ask(socket: Path | None, config: Path | None, what: str, **args: Any) -> dict[str, Any]:
    return client.call(socket_path(socket, config), what, **args)


def fetch(socket: Path | None, config: Path | None, what: str, sink: BinaryIO, **args: Any) -> dict[str, Any]:
    return client.fetch(socket_path(socket, config), what, sink, **args)
