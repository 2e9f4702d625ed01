"""UDP for the user agent: sockets and the clock, nothing else. Each arrow of the sans-IO core has one
line here.

One socket per listening address; an answer leaves from the socket its request came in by. The kernel's
error queue is read too (IP_RECVERR), so that a peer that is not there fails at once instead of after 32
seconds. A socket whose error queue holds something polls as an error, and uvloop hears no more of a socket
that does (libuv takes it for closed); so the loop watches an epoll in front of the socket, which only ever
is readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import select
import socket
import struct
from collections.abc import Callable, Iterable, Sequence

from qm_sip.errors import StartError
from qm_sip.sip.events import Address, CallOffered, UaEvent
from qm_sip.sip.message import MAX_BYTES
from qm_sip.sip.ua import UserAgent

log = logging.getLogger(__name__)

OnEvents = Callable[[list[UaEvent]], None]

# <linux/in.h>, <linux/in6.h>: not in the socket module before Python 3.14.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_BATCH = 64
"""Datagrams read in one go, before the loop gets its turn: keeps timers punctual under load."""
_BUFFER = 4 * 1024 * 1024


class SipEndpoint:
    """The user agent on real sockets.

    `on_events` is called with what happened; the commands it gives to the user agent are sent right
    after. Whoever gives commands at another time calls `flush()` afterwards.
    """

    def __init__(self, ua: UserAgent, listen: Sequence[Address], on_events: OnEvents) -> None:
        self.ua = ua
        self.addresses: list[Address] = []
        self.lost = 0
        """Datagrams that the kernel would not take; SIP repeats them by itself."""
        self._listen, self._on_events = tuple(listen), on_events
        self._sockets: dict[Address, socket.socket] = {}
        self._watches: list[select.epoll] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None  # uvloop's handle of an overdue moment does not know it
        self._flushing = False

    async def start(self) -> None:
        """Open the sockets. Port 0 takes a free one; `addresses` says which."""
        self._loop = asyncio.get_running_loop()
        try:
            for address in self._listen:
                self._open(address)
        except StartError:
            await self.stop()
            raise
        self.flush()

    async def stop(self) -> None:
        """Send what is left and close."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send()
        for watch in self._watches:
            if self._loop is not None:
                self._loop.remove_reader(watch.fileno())
            watch.close()
        for sock in self._sockets.values():
            sock.close()
        self._watches.clear()
        self._sockets.clear()

    def now(self) -> float:
        """The clock that the user agent's `now` is read from."""
        assert self._loop is not None
        return self._loop.time()

    def flush(self) -> None:
        """Carry events up and datagrams out until nothing is left, then set the timer."""
        if self._flushing:
            return  # the loop below is at work and will see it
        self._flushing = True
        try:
            while True:
                self._send()
                happened = self.ua.take_events()
                if not happened:
                    break
                self._tell(happened)
        finally:
            self._flushing = False
        self._set_timer()

    def _tell(self, happened: list[UaEvent]) -> None:
        """One at a time: a bug above us may cost the call it is about, not what others are waiting for."""
        for event in happened:
            try:
                self._on_events([event])
            except Exception:
                log.exception("handling a SIP event failed")
                if isinstance(event, CallOffered):
                    self.ua.reject(event.leg, 500, now=self.now())

    def _open(self, address: Address) -> None:
        try:
            family = socket.AF_INET6 if ipaddress.ip_address(address.host).version == 6 else socket.AF_INET
        except ValueError:
            raise StartError(f"{address.host!r} is not an IP address to listen on") from None
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind((address.host, address.port))
        except OSError as error:
            sock.close()
            raise StartError(
                f"cannot listen on udp {address.host}:{address.port}: {error.strerror}",
                remedy="another program may hold the port, or the address may not be this machine's",
            ) from error
        _tune(sock, family)
        bound = Address(address.host, sock.getsockname()[1])
        self._sockets[bound] = sock
        self.addresses.append(bound)
        watch = select.epoll()
        watch.register(sock, select.EPOLLIN)
        self._watches.append(watch)
        assert self._loop is not None
        self._loop.add_reader(watch.fileno(), self._readable, sock, bound)

    def _readable(self, sock: socket.socket, local: Address) -> None:
        for _ in range(_BATCH):
            try:
                data, source = sock.recvfrom(MAX_BYTES + 1)
            except BlockingIOError:
                break
            except OSError:
                self._read_errors(sock, local)
                continue
            self.ua.receive(data, Address(source[0], source[1]), local, self.now())
        self._read_errors(sock, local)
        self.flush()

    def _read_errors(self, sock: socket.socket, local: Address) -> None:
        """What ICMP said: the error queue holds each refused datagram's destination."""
        for _ in range(_BATCH):
            try:
                _, control, _, target = sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            if _is_icmp(control) and target:
                self.ua.transport_failed(Address(target[0], target[1]), local, self.now())

    def _send(self) -> None:
        for data, destination, local in self.ua.take_datagrams():
            sock = self._sockets.get(local)
            if sock is None:
                self.lost += 1
                continue
            self._send_one(sock, data, destination, local)

    def _send_one(self, sock: socket.socket, data: bytes, destination: Address, local: Address) -> None:
        try:
            sock.sendto(data, destination)
        except BlockingIOError:
            self.lost += 1  # the buffer is full; a retransmission will find it emptier
        except OSError:
            # Either an earlier datagram's ICMP error, reported here, or this one cannot go at all.
            self._read_errors(sock, local)
            with contextlib.suppress(OSError):
                sock.sendto(data, destination)
                return
            self.lost += 1
            self.ua.transport_failed(destination, local, self.now())

    def _set_timer(self) -> None:
        assert self._loop is not None
        due = self.ua.next_timer()
        if self._timer is not None:
            if due == self._due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None and self._sockets:
            self._timer, self._due = self._loop.call_at(due, self._ring), due

    def _ring(self) -> None:
        self._timer = None
        self.ua.advance(self.now())
        self.flush()


def _tune(sock: socket.socket, family: int) -> None:
    if family == socket.AF_INET6:
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
