"""Ask the running server one thing over its control socket."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, BinaryIO

from qm_sip.errors import QmSipError, Refused

ANSWER_BYTES = 64 * 1024 * 1024  # the longest answer line
SECONDS = 70.0  # the server gives up on a request after 60


class ServerAway(QmSipError):
    """No server answers at the socket; the text says why and what to do."""


class ServerSaid(QmSipError):
    """The server answered with an error. `code` is stable; `remedy` may be empty."""

    def __init__(self, code: str, text: str, remedy: str) -> None:
        self.code, self.text, self.remedy = code, text, remedy
        super().__init__(text + (f" ({remedy})" if remedy else ""))


def call(socket_path: Path, what: str, **args: Any) -> dict[str, Any]:
    """Ask `what`; return the answer. Raises ServerAway, ServerSaid or Refused."""
    return _ask(socket_path, what, args, None)


def fetch(socket_path: Path, what: str, sink: BinaryIO, **args: Any) -> dict[str, Any]:
    """Ask `what`; write the bytes that follow the answer into `sink`, and return the answer."""
    return _ask(socket_path, what, args, sink)


def _ask(path: Path, what: str, args: dict[str, Any], sink: BinaryIO | None) -> dict[str, Any]:
    with _connect(path) as connection, connection.makefile("rwb") as stream:
        try:
            stream.write(json.dumps({"what": what, **args}).encode() + b"\n")
            stream.flush()
            answer = _read(stream.readline(ANSWER_BYTES))
            _copy(stream, sink, int(answer.get("bytes", 0)))
        except OSError as error:
            raise ServerAway(f"the server stopped answering: {error}") from None
    return dict(answer["ok"])


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SECONDS)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        start = "start it with: qm-sip serve --config DIR; is this its configuration?"
        raise ServerAway(f"no qm-sip server runs at {path} ({start})") from None
    except OSError as error:
        connection.close()
        remedy = "run as root, as the server's user or in its group"
        raise ServerAway(f"cannot reach the server at {path}: {error.strerror or error} ({remedy})") from None
    return connection


def _read(line: bytes) -> dict[str, Any]:
    """The answer's line; an error in it is raised."""
    if not line.endswith(b"\n"):
        raise ServerAway("the server closed the connection without a whole answer")
    answer: dict[str, Any] = json.loads(line)
    error = answer.get("error")
    if error is None:
        return answer
    if error.get("kind") == "refused":
        raise Refused(error["code"], error["text"])
    raise ServerSaid(error["code"], error["text"], error["remedy"])


def _copy(stream: Any, sink: BinaryIO | None, count: int) -> None:
    while count > 0:
        block = stream.read(min(count, 64 * 1024))
        if not block:
            raise ServerAway("the server closed the connection before the file's end")
        if sink is not None:
            sink.write(block)
        count -= len(block)
