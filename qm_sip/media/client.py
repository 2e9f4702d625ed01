"""The live engine as the server sees it: a child process at the other end of a SOCK_SEQPACKET socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from qm_sip.errors import StartError
from qm_sip.media import protocol
from qm_sip.media.protocol import Command, Event

log = logging.getLogger(__name__)

LEASE_INTERVAL = 1.0
"""Seconds between two leases; the engine pauses all taps after `Configure.lease_ms` (3 s) without one."""

LARGEST_EVENT = 256 * 1024
PACKET = 32 * 1024
"""Commands are packed up to about this many bytes."""
CLOSING_TIME = 10.0
"""Seconds the engine gets to close its journals before it is killed."""


class MediaEngine:
    """Starts the engine, sends it commands, hands on its events, keeps its lease, notices its death."""

    def __init__(self, keeps: Sequence[int] = ()) -> None:
        """`keeps`: descriptors that the engine holds as long as it lives, such as the storage's lock."""
        self._keeps = tuple(keeps)
        self.on_event: Callable[[Event], None] = lambda event: None
        self.on_death: Callable[[int], None] = lambda status: None
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[bytes] = deque()
        self._flushing = False  # a flush is due, or waits for room
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The engine's process id while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process. Its first command must be `Configure`, which answers with `Configured`."""
        self._stopping = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "qm_sip.media.engine", str(theirs.fileno()),
                    pass_fds=[theirs.fileno(), *self._keeps], stdin=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            except OSError as error:
                ours.close()
                raise StartError(f"the media engine cannot be started: {error.strerror}") from error
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours, self._read)
        self._tasks = [asyncio.create_task(self._keep_lease()), asyncio.create_task(self._watch())]

    def send(self, command: Command) -> None:
        """Send a command, in order, without waiting. To a dead engine nothing is sent: `on_death` told."""
        if self._socket is None:
            return
        self._waiting.append(json.dumps(command.to_json(), separators=(",", ":")).encode())
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def stop(self) -> None:
        """Have every tap closed in order and the process end; kill it if it does not."""
        self._stopping = True
        if self._process is None:
            return
        self.send(protocol.Shutdown())
        try:
            await asyncio.wait_for(self._process.wait(), CLOSING_TIME)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await asyncio.gather(*self._tasks[1:])
        self._close()

    def _flush(self) -> None:
        """Send what one round of the loop has asked for, several commands a packet: one wake-up for all."""
        loop = asyncio.get_running_loop()
        while self._waiting and self._socket is not None:
            packet, count = _packed(self._waiting)
            try:
                self._socket.send(packet)
            except BlockingIOError:
                loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                # The engine has gone; `_watch` tells.
                self._waiting.clear()
                break
            for _ in range(count):
                self._waiting.popleft()
        if self._socket is not None:
            loop.remove_writer(self._socket)
        self._flushing = False

    def _read(self) -> None:
        """Hand on the events that are there. Later ones wait for the next round of the loop."""
        for _ in range(64):
            if self._socket is None:
                return
            try:
                message = self._socket.recv(LARGEST_EVENT)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                asyncio.get_running_loop().remove_reader(self._socket)
                return
            try:
                self.on_event(protocol.read_event(json.loads(message)))
            except Exception:  # it costs the call it is about, not what others are waiting for
                log.exception("handling an event of the media engine failed")

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(LEASE_INTERVAL)
            self.send(protocol.Lease())

    async def _watch(self) -> None:
        if self._process is None:
            return
        status = await self._process.wait()
        self._read()
        self._close()
        if not self._stopping:
            self.on_death(status)

    def _close(self) -> None:
        self._tasks[0].cancel()
        self._flushing = False
        self._waiting.clear()  # what a dead engine did not read is not for the next one
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None


def _packed(commands: Iterable[bytes]) -> tuple[bytes, int]:
    """The first commands, a line each, as many as fit in one packet; and how many those are."""
    lines: list[bytes] = []
    size = 0
    for line in commands:
        if lines and size + len(line) > PACKET:
            break
        lines.append(line)
        size += len(line)
    return b"\n".join(lines), len(lines)
