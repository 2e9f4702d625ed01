"""TCP and TLS: connections that peers make and that we make, told apart by their two ends.

A message to an address takes the connection whose other end is that address, whoever made it; if there is none, one is
made, from the host of our listening socket, and what is to be sent waits for it. So answers go back by the connection
of their request, requests towards one peer share one, and what is sent there arrives in the order it was said.

A connection costs memory and a file, and with TLS a signature; whoever is at its other end need not be a friend. So
(`limits`):

* of one address, of all strangers, and altogether there are only so many, from the first byte of a handshake on;
* a handshake must be done, and a message that has begun be whole, after a few seconds, however slowly bytes drip in;
* what a peer does not read is kept up to a measure, then the connection is cut: it never blocks another;
* one that nobody uses is closed after a while, unless a call goes over it; a stranger's sooner;
* a peer that vanished without a word is noticed by the bytes it does not take (TCP_USER_TIMEOUT): see `connection`.

What was to be sent on a connection that fails is not lost in silence. Before it stood: `failed`, and every request that
waited for it fails or goes another way. Afterwards: `lost_connection`, and requests that nobody has answered, and
failures that nobody has acknowledged, are sent once more by another; a 2xx is repeated until its ACK, and its ACK
whenever it is repeated, on any transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter

from qm_sip.net.connection import Connection
from qm_sip.net.limits import CLOSING, USUAL, Limits
from qm_sip.net.link import Ear, bind, family_of
from qm_sip.net.sparing import Sparing
from qm_sip.net.tls import Expected
from qm_sip.net.trust import Trust
from qm_sip.sip.events import Address

log = logging.getLogger(__name__)

# <linux/in.h>: not in the socket module before Python 3.13.
_IP_BIND_ADDRESS_NO_PORT = 24


class Streams:
    """All connections of one endpoint."""

    def __init__(
        self, ear: Ear, loop: asyncio.AbstractEventLoop, limits: Limits = USUAL, trust: Trust | None = None
    ) -> None:
        self.ear, self.loop, self.limits = ear, loop, limits
        self.trust = trust
        """What TLS rests on. Another one may be put here at any time: it is for new connections."""
        self.lost = 0
        """Messages that no connection took."""
        self.counts: Counter[str] = Counter()
        """Why connections ended that we ended, or did not begin."""
        self._servers: list[asyncio.Server] = []
        self._bound: list[Address] = []
        self._links: dict[tuple[Address, Address], Connection] = {}
        self._all: set[Connection] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._closing = False
        self._empty = asyncio.Event()
        self._handshakes = Sparing(limits.handshakes_of_strangers, 1.0)
        self._words = Sparing(10, 10.0)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def refused(self) -> int:
        """Connections that did not begin, or ended, through a fault of the other side."""
        return sum(self.counts[why] for why in ("too-many", "slow", "stalled", "unframed", "tls"))

    async def open(self, address: Address) -> Address:
        """Listen there. Port 0 takes a free one; what comes back says which."""
        sock = bind(address, socket.SOCK_STREAM)
        bound = address._replace(port=sock.getsockname()[1])
        self._servers.append(await self.loop.create_server(lambda: self._taken(bound), sock=sock))
        self._bound.append(bound)
        return bound

    def _taken(self, local: Address) -> Connection:
        return Connection(self, local, tls=self._trusted().server if local.transport == "tls" else None)

    def _trusted(self) -> Trust:
        assert self.trust is not None, "TLS without certificates"
        return self.trust

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

    def identities(self, remote: Address) -> frozenset[str]:
        """Whose the verified certificate at the other end of a connection is; of two to one end, what both say."""
        found = [self._links[local, remote] for local in self._bound if (local, remote) in self._links]
        return frozenset.intersection(*(one.identities for one in found)) if found else frozenset()

    # ------------------------------------------------------------------ connections that we make

    def _dial(self, remote: Address, local: Address) -> Connection | None:
        if self._closing:
            return None
        if len(self._all) >= self.limits.most:
            self.counts["too-many"] += 1
            self.ear.failed(remote, local)
            return None
        connection = Connection(self, local, remote, self._expected(remote))
        self._enter(connection)
        task = self.loop.create_task(self._connect(connection, remote, local))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return connection

    def _expected(self, remote: Address) -> Expected | None:
        return self._trusted().expected(remote) if remote.transport == "tls" else None

    async def _connect(self, connection: Connection, remote: Address, local: Address) -> None:
        try:
            sock = _dialler(local)
            try:
                async with asyncio.timeout(self.limits.connect):
                    await self.loop.sock_connect(sock, (remote.host, remote.port))
                await self.loop.create_connection(lambda: connection, sock=sock)
            except BaseException:
                sock.close()
                raise
        except (OSError, ValueError):  # refused, no route, too late; not an address
            self.gone(connection)

    # ------------------------------------------------------------------ what becomes of them

    def welcome(self, connection: Connection, *, secured: bool) -> bool:
        """Whether a connection that somebody made may stay."""
        host, limits = connection.remote.host, self.limits
        connection.stranger = not self.ear.known(host, None)
        made = [other for other in self._all if other.accepted]
        same = sum(other.remote.host == host for other in made)
        strangers = sum(other.stranger for other in made)
        if (
            len(self._all) >= limits.most
            or same >= (limits.of_a_stranger if connection.stranger else limits.of_a_peer)
            or (connection.stranger and strangers >= limits.of_strangers)
            or (connection.stranger and secured and not self._handshakes.allows(self.loop.time()))
        ):
            self.counts["too-many"] += 1
            return False
        self._enter(connection)
        return True

    def shaken(self, connection: Connection) -> None:
        """Its TLS stands. Of one that somebody made it is known now who he is."""
        if connection.accepted:
            connection.stranger = not self.ear.known(connection.remote.host, connection.identities)

    def mistrusted(self, connection: Connection, why: str) -> None:
        """Its TLS does not stand, and will not. Who floods us does not flood the log."""
        self.counts["tls"] += 1
        if connection.accepted:
            self.ear.mistrusted(connection.remote)
        if not self._words.allows(self.loop.time()):
            return
        if connection.accepted:
            log.warning("no TLS with somebody who connected: %s", why)
        else:
            log.warning("no TLS with peer %s: %s", connection.meant or "(none of ours)", why)

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
        """It has ended, whoever ended it, or could not be made."""
        if connection not in self._all:
            return  # it was never welcome
        self._leave(connection)
        self.lost += connection.waiting
        if self._closing:
            return
        if connection.open:
            self.ear.lost_connection(connection.remote, connection.local)
        else:
            self.ear.failed(connection.remote, connection.local)
        self.ear.flush()


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
