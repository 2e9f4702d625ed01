"""One connection: bytes in, frames up; messages out, as far as the peer reads them. With TLS or without.

    made -> (handshake) -> open -> ended

What is to be sent before it is open waits in it. See `streams` for what a connection may cost, and `tls` for what
happens in a handshake.

**Keep-alive** (RFC 5626 4.4.1). A connection that we made and that a call needs, and on which nothing was heard for a
while, is pinged by a double CRLF. A peer that has answered one ping must answer the next; one that never has may not
know of pings, and is taken for dead only if its host takes no bytes any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, cast

from qm_sip.net.limits import VANISHED
from qm_sip.net.tls import Expected, TlsError, TlsSession
from qm_sip.sip.events import Address
from qm_sip.sip.framing import PING, PONG, Framer, FramingError

if TYPE_CHECKING:
    from qm_sip.net.streams import Streams


class Connection(asyncio.Protocol):
    """See the module's docstring. `remote` is None while it is one that is just being taken."""

    def __init__(
        self, owner: Streams, local: Address, remote: Address | None = None, tls: Expected | None = None
    ) -> None:
        self.owner, self.local = owner, local
        self.accepted = remote is None
        self.remote = remote or local  # of one that is accepted: until it is made
        self.stranger = False
        self.open = False
        self.meant = tls.peer if tls is not None else ""
        self._tls = TlsSession(tls, server=self.accepted) if tls is not None else None
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []  # until it is open
        self._used = self._heard = owner.loop.time()
        self._answers_pings = False
        self._idle: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._shaking: asyncio.TimerHandle | None = None
        self._alive: asyncio.TimerHandle | None = None

    @property
    def ending(self) -> bool:
        """Whether nothing more can be sent on it."""
        return self._transport is not None and self._transport.is_closing()

    @property
    def waiting(self) -> int:
        """Messages that wait until it is open."""
        return len(self._unsent)

    @property
    def identities(self) -> frozenset[str]:
        """The names of the peer's verified certificate."""
        return self._tls.identities if self._tls is not None and self.open else frozenset()

    def send(self, data: bytes) -> bool:
        """Send, or keep for later. False: neither; the connection is cut."""
        self._used = self.owner.loop.time()
        if self.ending:
            return False
        if not self.open:
            if sum(map(len, self._unsent)) + len(data) > self.owner.limits.unsent:
                return False
            self._unsent.append(data)
            return True
        if not self._has_room(data):
            return False
        self._say(data)
        return True

    def _has_room(self, data: bytes) -> bool:
        assert self._transport is not None
        if self._transport.get_write_buffer_size() + len(data) <= self.owner.limits.unsent:
            return True
        self.cut("stalled")
        return False

    def _say(self, data: bytes) -> None:
        assert self._transport is not None
        if self._tls is None:
            self._transport.write(data)
        else:
            self._tls.say(data)
            self._write_tls()

    def _write_tls(self) -> None:
        assert self._tls is not None
        data = self._tls.outgoing()
        if data and self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """End it when what it still holds has left; what is said from now on takes another."""
        if self._transport is None:
            return
        if self._tls is not None and self.open and not self.ending:
            self._tls.goodbye()
            self._write_tls()
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
        if self._tls is None:
            self._opened()
            return
        limits = self.owner.limits
        self._shaking = self.owner.loop.call_later(limits.handshake, self._not_shaken)
        if not self.accepted:
            self._tls.begin()
            self._write_tls()

    def _welcome(self, peer: tuple[str, int] | None) -> bool:
        if peer is None:  # gone before it was looked at
            return False
        self.remote = Address(peer[0], peer[1], self.local.transport)
        return self.owner.welcome(self, secured=self._tls is not None)

    def _opened(self) -> None:
        self.open = True
        unsent, self._unsent = self._unsent, []
        for data in unsent:
            self._say(data)
        self._watch_idle()
        if not self.accepted and self.owner.limits.keep_alive > 0:
            self._watch_alive()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self.ending:
            return
        self._used = self._heard = self.owner.loop.time()
        if self._tls is not None:
            data = self._opened_letter(self._tls, data)
        if data:
            self._hear(data)
        if self._tls is not None and self._tls.ended and not self.ending:
            self.close()

    def _opened_letter(self, tls: TlsSession, data: bytes) -> bytes:
        """What was said in bytes of TLS; nothing, as long as the handshake is under way or when it has failed."""
        try:
            plain = tls.receive(data)
        except TlsError as error:
            self._write_tls()  # the alert
            self._mistrust(str(error))
            return b""
        self._write_tls()
        if tls.ready and not self.open:
            if self._shaking is not None:
                self._shaking.cancel()
            self._opened()
            self.owner.shaken(self)
        return plain

    def _not_shaken(self) -> None:
        self._mistrust("the handshake was not finished in time")

    def _mistrust(self, why: str) -> None:
        self.owner.mistrusted(self, why)
        if self._transport is not None:
            self._transport.close()  # the alert leaves, if he reads it
            self.owner.loop.call_later(self.owner.limits.handshake, self._give_up)

    def _give_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _hear(self, data: bytes) -> None:
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
            elif frame == PONG:
                self._answers_pings = True
            else:
                self.owner.ear.heard(frame, self.remote, self.local)
        return any_whole

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._idle, self._slow, self._shaking, self._alive):
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
            self._slow = self.owner.loop.call_later(self.owner.limits.slow, self.cut, "slow")

    def _watch_idle(self) -> None:
        self._idle = self.owner.loop.call_later(self._patience, self._look)

    @property
    def _patience(self) -> float:
        return self.owner.limits.stranger_idle if self.stranger else self.owner.limits.idle

    def _look(self) -> None:
        left = self._used + self._patience - self.owner.loop.time()
        if left > 0:
            self._idle = self.owner.loop.call_later(left, self._look)
        elif self.owner.ear.needed(self.remote, self.local):
            self._watch_idle()
        else:
            self.owner.counts["idle"] += 1
            self.close()

    def _watch_alive(self) -> None:
        left = self._heard + self.owner.limits.keep_alive - self.owner.loop.time()
        wait = left if left > 0 else self.owner.limits.keep_alive
        self._alive = self.owner.loop.call_later(wait, self._ping)

    def _ping(self) -> None:
        now, limits = self.owner.loop.time(), self.owner.limits
        silent = now - self._heard >= limits.keep_alive
        if self.ending or not silent or not self.owner.ear.needed(self.remote, self.local):
            self._watch_alive()
            return
        if self._has_room(PING):
            self._framer.expect_pong()
            self._say(PING)
            self._alive = self.owner.loop.call_later(limits.pong, self._is_alive, now)

    def _is_alive(self, asked: float) -> None:
        if self._heard >= asked or not self._answers_pings:
            self._watch_alive()
        else:
            self.cut("no-pong")


def _tune(sock: socket.socket | None) -> None:
    if sock is None:
        return
    with contextlib.suppress(OSError):  # it may be over already
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED * 1000))
