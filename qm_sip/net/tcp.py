"""TCP: connections that peers make and that we make, told apart by their two ends.

A message to an address takes the connection whose other end is that address, whoever made it; if there is none, one is
made, from the host of our listening socket, and what is to be sent waits for it. So answers go back by the connection
of their request, requests towards one peer share one, and what is sent there arrives in the order it was said.

A connection costs memory and a file, and whoever is at its other end need not be a friend. So:

* of one address, of all strangers, and altogether there are only so many;
* a message that has begun must be whole after `SLOW` seconds, however slowly its bytes drip in;
* what a peer does not read is kept up to `MOST_UNSENT` bytes, then the connection is cut: it never blocks another;
* one that nobody uses is closed after `IDLE` seconds, unless a call goes over it; a stranger's sooner;
* a peer that vanished without a word is noticed after `VANISHED` seconds (TCP_USER_TIMEOUT), and one to which no
  connection can be made after `CONNECT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from typing import cast

from qm_sip.net.link import Ear, bind, family_of
from qm_sip.sip.events import Address
from qm_sip.sip.framing import PING, PONG, Framer, FramingError

CONNECT = 4.0
SLOW = 5.0
IDLE = 600.0
STRANGER_IDLE = 10.0
VANISHED = 10.0
CLOSING = 1.0  # seconds that the last words get when the endpoint stops
MOST = 600
MOST_OF_A_PEER = 256
MOST_OF_A_STRANGER = 4
MOST_OF_STRANGERS = 64
MOST_UNSENT = 256 * 1024

# <linux/in.h>: not in the socket module before Python 3.13.
_IP_BIND_ADDRESS_NO_PORT = 24


class TcpConnections:
    """All connections of one endpoint."""

    def __init__(self, ear: Ear, loop: asyncio.AbstractEventLoop) -> None:
        self.ear, self.loop = ear, loop
        self.lost = 0
        """Messages that no connection took."""
        self.counts: Counter[str] = Counter()
        """Why connections ended that we ended, or did not begin."""
        self._servers: list[asyncio.Server] = []
        self._links: dict[tuple[Address, Address], Connection] = {}
        self._all: set[Connection] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._closing = False
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def refused(self) -> int:
        """Connections that did not begin, or ended, through a fault of the other side."""
        return sum(self.counts[why] for why in ("too-many", "slow", "stalled", "unframed"))

    async def open(self, address: Address) -> Address:
        """Listen there. Port 0 takes a free one; what comes back says which."""
        sock = bind(address, socket.SOCK_STREAM)
        bound = address._replace(port=sock.getsockname()[1])
        self._servers.append(await self.loop.create_server(lambda: Connection(self, bound), sock=sock))
        return bound

    async def close(self) -> None:
        """Let the last words leave, but not for long."""
        self._closing = True
        for server in self._servers:
            server.close()
        for task in self._dialling:
            task.cancel()
        for connection in self._all:
            connection.close()
        if self._all:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), CLOSING)
        for connection in self._all:
            connection.cut("stopped")

    def send(self, data: bytes, destination: Address, local: Address) -> None:
        """Send one message, on the connection to that address or on a new one."""
        connection = self._links.get((local, destination))
        if connection is None or connection.ending:
            connection = self._dial(destination, local)
        if connection is None or not connection.send(data):
            self.lost += 1

    # ------------------------------------------------------------------ connections that we make

    def _dial(self, remote: Address, local: Address) -> Connection | None:
        if self._closing:
            return None
        if len(self._all) >= MOST:
            self.counts["too-many"] += 1
            self.ear.failed(remote, local)
            return None
        connection = Connection(self, local, remote)
        self._enter(connection)
        task = self.loop.create_task(self._connect(connection, remote, local))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return connection

    async def _connect(self, connection: Connection, remote: Address, local: Address) -> None:
        try:
            sock = _dialler(local)
            try:
                async with asyncio.timeout(CONNECT):
                    await self.loop.sock_connect(sock, (remote.host, remote.port))
                await self.loop.create_connection(lambda: connection, sock=sock)
            except BaseException:
                sock.close()
                raise
        except (OSError, ValueError):  # refused, no route, too late; not an address
            self._leave(connection)
            self.lost += connection.waiting
            self.ear.failed(remote, local)
            self.ear.flush()

    # ------------------------------------------------------------------ what becomes of them

    def welcome(self, connection: Connection) -> bool:
        """Whether a connection that somebody made may stay."""
        host = connection.remote.host
        connection.stranger = not self.ear.known(host)
        made = [other for other in self._all if other.accepted]
        same = sum(other.remote.host == host for other in made)
        strangers = sum(other.stranger for other in made)
        if (
            len(self._all) >= MOST
            or same >= (MOST_OF_A_STRANGER if connection.stranger else MOST_OF_A_PEER)
            or (connection.stranger and strangers >= MOST_OF_STRANGERS)
        ):
            self.counts["too-many"] += 1
            return False
        self._enter(connection)
        return True

    def _enter(self, connection: Connection) -> None:
        self._links[connection.local, connection.remote] = connection
        self._all.add(connection)

    def _leave(self, connection: Connection) -> None:
        self._all.discard(connection)
        if self._closing and not self._all:
            self._empty.set()
        if self._links.get((connection.local, connection.remote)) is connection:
            del self._links[connection.local, connection.remote]

    def gone(self, connection: Connection) -> None:
        """It has ended, whoever ended it."""
        if connection not in self._all:
            return  # it was never welcome
        self._leave(connection)
        if not self._closing:
            self.ear.lost_connection(connection.remote, connection.local)
            self.ear.flush()


class Connection(asyncio.Protocol):
    """One connection: bytes in, frames up; messages out, as far as the peer reads them."""

    def __init__(self, owner: TcpConnections, local: Address, remote: Address | None = None) -> None:
        self.owner, self.local = owner, local
        self.accepted = remote is None
        self.remote = remote or local  # of one that is accepted: until it is made
        self.stranger = False
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []  # while it is being made
        self._used = owner.loop.time()
        self._idle: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None

    @property
    def ending(self) -> bool:
        """Whether nothing more can be sent on it."""
        return self._transport is not None and self._transport.is_closing()

    @property
    def waiting(self) -> int:
        """Messages that wait for the connection to be made."""
        return len(self._unsent)

    def send(self, data: bytes) -> bool:
        """Send, or keep for later. False: neither; the connection is cut."""
        self._used = self.owner.loop.time()
        if self._transport is None:
            if sum(map(len, self._unsent)) + len(data) > MOST_UNSENT:
                return False
            self._unsent.append(data)
            return True
        if self.ending or not self._has_room(data):
            return False
        self._transport.write(data)
        return True

    def _has_room(self, data: bytes) -> bool:
        assert self._transport is not None
        if self._transport.get_write_buffer_size() + len(data) <= MOST_UNSENT:
            return True
        self.cut("stalled")
        return False

    def close(self) -> None:
        """End it when what it still holds has left; what is said from now on takes another."""
        if self._transport is not None:
            self._transport.close()

    def cut(self, why: str) -> None:
        """End it now."""
        self.owner.counts[why] += 1
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)  # uvloop's is none by name
        if self.accepted and not self._welcome(made.get_extra_info("peername")):
            made.abort()
            return
        _tune(made.get_extra_info("socket"))
        unsent, self._unsent = self._unsent, []
        for data in unsent:
            made.write(data)
        self._watch_idle()

    def _welcome(self, peer: tuple[str, int] | None) -> bool:
        if peer is None:  # gone before it was looked at
            return False
        self.remote = Address(peer[0], peer[1], self.local.transport)
        return self.owner.welcome(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self.ending:
            return
        self._used = self.owner.loop.time()
        self._framer.receive(data)
        try:
            self._watch_slow(begun_anew=self._read())
        except FramingError:
            self.owner.counts["unframed"] += 1
            self.owner.ear.flush()  # what came before it is answered
            self.close()
        else:
            self.owner.ear.flush()

    def _read(self) -> bool:
        """Hand up every whole frame. True: what is left has just begun."""
        any_whole = False
        while (frame := self._framer.next()) is not None:
            any_whole = True
            if frame == PING:
                self.send(PONG)
            else:
                self.owner.ear.heard(frame, self.remote, self.local)
        return any_whole

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._idle, self._slow):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self.owner.gone(self)

    # ------------------------------------------------------------------ patience

    def _watch_slow(self, *, begun_anew: bool) -> None:
        """The time for a message runs from its first bytes; more bytes of it do not buy more time."""
        if self._slow is not None and (begun_anew or not self._framer.partial):
            self._slow.cancel()
            self._slow = None
        if self._slow is None and self._framer.partial:
            self._slow = self.owner.loop.call_later(SLOW, self.cut, "slow")

    def _watch_idle(self) -> None:
        self._idle = self.owner.loop.call_later(self._patience, self._look)

    @property
    def _patience(self) -> float:
        return STRANGER_IDLE if self.stranger else IDLE

    def _look(self) -> None:
        left = self._used + self._patience - self.owner.loop.time()
        if left > 0:
            self._idle = self.owner.loop.call_later(left, self._look)
        elif self.owner.ear.needed(self.remote, self.local):
            self._watch_idle()
        else:
            self.owner.counts["idle"] += 1
            self.close()


def _dialler(local: Address) -> socket.socket:
    """A socket to connect with: its address is our listening one, its port anything free."""
    sock = socket.socket(family_of(local.host), socket.SOCK_STREAM)
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        sock.bind((local.host, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket | None) -> None:
    if sock is None:
        return
    with contextlib.suppress(OSError):  # it may be over already
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED * 1000))
