"""The control socket: a bounded JSON-lines server on a Unix stream socket.

Who connects is known from the kernel (SO_PEERCRED, unix(7)), never from what he says. A request is one line;
the answer is one line, `{"ok": ...}` or `{"error": ...}`; where `bytes` is in it, so many raw bytes follow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qm_sip.control.requests import BadRequest, NotFound
from qm_sip.errors import ConfigError, QmSipError, Refused, StartError

REQUEST_BYTES = 64 * 1024  # the longest request line
IDLE_SECONDS = 30.0  # a connection that asks nothing, or takes nothing of its answer, for so long is closed
BUSY_SECONDS = 1.0  # how long one too many may take to say what it wants
HANDLER_SECONDS = 60.0
CONNECTIONS = 32
BLOCK = 64 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PeerCredentials:
    """The process at the other end, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Reply:
    """An answer with a file after it."""

    values: dict[str, Any]
    attachment: Path


Handler = Callable[[dict[str, Any], PeerCredentials], Awaitable["dict[str, Any] | Reply"]]


@dataclass
class ControlServer:
    """Serves `handlers` at `path` between `start` and `stop`."""

    path: Path
    handlers: Mapping[str, Handler]
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _inode: int = 0

    async def start(self) -> None:
        """Listen. Raises StartError when the socket cannot be made or another server listens there."""
        listener = _listen(self.path)
        self._inode = self.path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=REQUEST_BYTES)

    async def stop(self) -> None:
        """Close every connection and remove the socket, if it still is ours."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > CONNECTIONS:
                await asyncio.wait_for(reader.readline(), BUSY_SECONDS)  # unread, it would reset the answer
                await _send(writer, {"error": _error("busy", "too many connections", "try again")})
                return
            await self._serve(reader, writer, _credentials(writer))
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked has gone or has stopped reading
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: PeerCredentials
    ) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS)
            except ValueError:  # longer than REQUEST_BYTES
                await _send(writer, {"error": _error("bad-request", "the request is too long", "")})
                return
            if not line.endswith(b"\n"):
                return
            await _answer(writer, await self._handle(line, peer))

    async def _handle(self, line: bytes, peer: PeerCredentials) -> dict[str, Any] | Reply:
        """One request to one answer; whatever goes wrong becomes an error the client can print."""
        try:
            request = _parse(line)
            handler = self.handlers.get(request["what"])
            if handler is None:
                raise BadRequest(f"unknown request {request['what']!r}")
            answer = await asyncio.wait_for(handler(request, peer), HANDLER_SECONDS)
        except Exception as error:
            return {"error": _describe(error)}
        return answer if isinstance(answer, Reply) else {"ok": answer}


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest("the request is not JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("what"), str):
        raise BadRequest('a request is an object with "what"')
    return request


def _describe(error: Exception) -> dict[str, Any]:
    """An error as data. Of a bug of ours only the type is logged: its text might hold a number (I10)."""
    if isinstance(error, Refused):
        return _error(error.code, error.text, "", kind="refused")
    if isinstance(error, BadRequest):
        return _error("bad-request", str(error), "")
    if isinstance(error, NotFound):
        return _error("not-found", str(error), "")
    if isinstance(error, ConfigError):
        where = ": ".join(filter(None, [error.file, error.key, error.problem]))
        return _error("config", where, error.remedy)
    if isinstance(error, TimeoutError):
        return _error("timeout", f"no answer within {HANDLER_SECONDS:.0f} s", "see the server's log")
    if isinstance(error, QmSipError):
        return _error("failed", str(error), "")
    log.error("a control request failed: %s", type(error).__name__)
    return _error("internal", f"the server failed: {type(error).__name__}", "see the server's log")


def _error(code: str, text: str, remedy: str, kind: str = "error") -> dict[str, Any]:
    return {"kind": kind, "code": code, "text": text, "remedy": remedy}


async def _answer(writer: asyncio.StreamWriter, answer: dict[str, Any] | Reply) -> None:
    if not isinstance(answer, Reply):
        await _send(writer, answer)
        return
    try:
        file = await asyncio.to_thread(answer.attachment.open, "rb")
    except OSError as error:
        text = f"the file cannot be read: {error.strerror}"
        await _send(writer, {"error": _error("failed", text, "qm-sip recordings verify")})
        return
    with file:
        left = os.fstat(file.fileno()).st_size
        await _send(writer, {"ok": answer.values, "bytes": left})
        while left > 0 and (block := await asyncio.to_thread(file.read, min(BLOCK, left))):
            left -= len(block)
            writer.write(block)
            await asyncio.wait_for(writer.drain(), IDLE_SECONDS)
    if left:  # the file shrank meanwhile: the client must not take the next answer for its rest
        raise ConnectionAbortedError


async def _send(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(
        json.dumps(answer, ensure_ascii=False, default=str).encode(errors="backslashreplace") + b"\n"
    )
    await asyncio.wait_for(writer.drain(), IDLE_SECONDS)


def _credentials(writer: asyncio.StreamWriter) -> PeerCredentials:
    """pid, uid and gid of whoever connected (SO_PEERCRED)."""
    connected = writer.get_extra_info("socket")
    with socket.socket(fileno=os.dup(connected.fileno())) as sock:  # uvloop's own object knows no options
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return PeerCredentials(*struct.unpack("3i", raw))


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, for owner and group only, from its first moment."""
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o117)
    try:
        listener.bind(str(path))
        listener.listen(CONNECTIONS)
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen at {path}: {error.strerror or error}", remedy="[control] socket"
        ) from None
    finally:
        os.umask(before)
    return listener


def _clear(path: Path) -> None:
    """Make the directory; remove a socket that a killed server left, and nothing else."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(f"cannot use {path}: {error.strerror}", remedy="[control] socket") from None
    if not stat.S_ISSOCK(mode):
        raise StartError(f"{path} is not a socket", remedy="[control] socket must name one, or nothing yet")
    if _somebody_listens(path):
        raise StartError(f"another server listens at {path}", remedy="stop it, or change [control] socket")
    path.unlink()


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:  # it listens, but is busy or does not let us in
            return True
    return True
