"""The way to a HEP collector, over UDP or TCP. It may be dead, slow or full: nothing here ever waits for it.

`ready` is false while it is known not to be there, so that nobody makes packets in vain; `send` says whether a packet
went out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from qm_sip.net.link import family_of
from qm_sip.sip.events import Address

AGAIN: Final = 10.0
"""Seconds until a collector that was not there is tried again."""
MOST_BUFFERED: Final = 1024 * 1024
"""Bytes that wait for a slow collector on a connection; more are dropped."""


class UdpCollector:
    """One connected socket, so that the kernel tells us when nobody listens (ICMP)."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._dead_until = 0.0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(family_of(self._address.host), socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.connect(self._address[:2])

    @property
    def ready(self) -> bool:
        return self._loop.time() >= self._dead_until

    def send(self, packet: bytes) -> bool:
        if self._socket is None or not self.ready:
            return False
        try:
            self._socket.send(packet)
        except BlockingIOError:
            return False
        except OSError:
            self._dead_until = self._loop.time() + AGAIN
            return False
        return True

    async def stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TcpCollector:
    """One connection, made again when it breaks. HEP says how long each packet is."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    @property
    def ready(self) -> bool:
        return self._writer is not None

    def send(self, packet: bytes) -> bool:
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MOST_BUFFERED:
            return False
        writer.write(packet)
        return True

    async def _keep_connected(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._connection()
            self._writer = None
            await asyncio.sleep(AGAIN)

    async def _connection(self) -> None:
        """Until the other side closes; what it says is of no interest."""
        opening = asyncio.open_connection(self._address.host, self._address.port)
        reader, writer = await asyncio.wait_for(opening, AGAIN)
        self._writer = writer
        try:
            while await reader.read(4096):
                pass
        finally:
            self._writer = None
            writer.close()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._writer = None


Collector = UdpCollector | TcpCollector


def collector_at(address: Address) -> Collector:
    """By the address's transport."""
    return TcpCollector(address) if address.reliable else UdpCollector(address)
