"""UDP: one socket per listening address; an answer leaves from the socket its request came in by.

The kernel's error queue is read too (IP_RECVERR), so that a peer that is not there fails at once instead of after 32
seconds. A socket whose error queue holds something polls as an error, and uvloop hears no more of a socket
that does (libuv takes it for closed); so the loop watches an epoll in front of the socket, which only ever
is readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from collections.abc import Iterable

from qm_sip.net.link import Ear, bind
from qm_sip.sip.events import Address
from qm_sip.sip.message import MAX_BYTES

# <linux/in.h>, <linux/in6.h>: not in the socket module before Python 3.14.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_BATCH = 64
"""Datagrams read in one go, before the loop gets its turn: keeps timers punctual under load."""
_BUFFER = 4 * 1024 * 1024


class UdpSockets:
    """All UDP sockets of one endpoint."""

    def __init__(self, ear: Ear, loop: asyncio.AbstractEventLoop) -> None:
        self.lost = 0
        """Datagrams that the kernel would not take; SIP repeats them by itself."""
        self._ear, self._loop = ear, loop
        self._sockets: dict[Address, socket.socket] = {}
        self._watches: list[select.epoll] = []

    async def open(self, address: Address) -> Address:
        """Listen there. Port 0 takes a free one; what comes back says which."""
        sock = bind(address, socket.SOCK_DGRAM)
        _tune(sock)
        bound = address._replace(port=sock.getsockname()[1])
        self._sockets[bound] = sock
        watch = select.epoll()
        watch.register(sock, select.EPOLLIN)
        self._watches.append(watch)
        self._loop.add_reader(watch.fileno(), self._readable, sock, bound)
        return bound

    async def close(self) -> None:
        """Hear and send no more."""
        for watch in self._watches:
            self._loop.remove_reader(watch.fileno())
            watch.close()
        for sock in self._sockets.values():
            sock.close()
        self._watches.clear()
        self._sockets.clear()

    def send(self, data: bytes, destination: Address, local: Address) -> None:
        """Send one datagram from the socket at `local`."""
        sock = self._sockets.get(local)
        if sock is None:
            self.lost += 1
            return
        try:
            sock.sendto(data, destination[:2])
        except BlockingIOError:
            self.lost += 1  # the buffer is full; a retransmission will find it emptier
        except OSError:
            # Either an earlier datagram's ICMP error, reported here, or this one cannot go at all.
            self._read_errors(sock, local)
            with contextlib.suppress(OSError):
                sock.sendto(data, destination[:2])
                return
            self.lost += 1
            self._ear.failed(destination, local)

    def _readable(self, sock: socket.socket, local: Address) -> None:
        for _ in range(_BATCH):
            try:
                data, source = sock.recvfrom(MAX_BYTES + 1)
            except BlockingIOError:
                break
            except OSError:
                self._read_errors(sock, local)
                continue
            self._ear.heard(data, Address(source[0], source[1]), local)
        self._read_errors(sock, local)
        self._ear.flush()

    def _read_errors(self, sock: socket.socket, local: Address) -> None:
        """What ICMP said: the error queue holds each refused datagram's destination."""
        for _ in range(_BATCH):
            try:
                _, control, _, target = sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            if _is_icmp(control) and target:
                self._ear.failed(Address(target[0], target[1]), local)


def _tune(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)


def _is_icmp(control: Iterable[tuple[int, int, bytes]]) -> bool:
    """struct sock_extended_err: ee_errno, ee_origin (2 ICMP, 3 ICMPv6). A local error names no peer."""
    for level, kind, data in control:
        ours = (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))
        if ours and len(data) >= 5 and struct.unpack_from("=IB", data)[1] in (2, 3):
            return True
    return False
