"""The user agent on real sockets and the real clock, nothing else: each arrow of the sans-IO core has one line here.

One endpoint has sockets of several transports (`link.Link`); which one a message takes is what its local address says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from qm_sip.errors import StartError
from qm_sip.net.limits import USUAL, Limits
from qm_sip.net.link import Ear, Link
from qm_sip.net.streams import Streams
from qm_sip.net.trust import Trust
from qm_sip.net.udp import UdpSockets
from qm_sip.sip import incidents
from qm_sip.sip.events import Address, CallOffered, UaEvent
from qm_sip.sip.incidents import Incident, Tell
from qm_sip.sip.ua import UserAgent

log = logging.getLogger(__name__)

OnEvents = Callable[[list[UaEvent]], None]
Known = Callable[[str, Collection[str] | None], bool]


class Tap(Protocol):
    """Whoever is told of every message (`qm_sip/trace`). `settle` follows when the turn that brought them is over."""

    def heard(self, data: bytes, source: Address, local: Address, now: float) -> None: ...

    def sent(self, data: bytes, destination: Address, local: Address, now: float) -> None: ...

    def settle(self) -> None: ...


class SipEndpoint(Ear):
    """The user agent on real sockets.

    `on_events` is called with what happened; the commands it gives to the user agent are sent right
    after. Whoever gives commands at another time calls `flush()` afterwards. `known` says of an address, and of the
    names of a certificate once there is one, whether a peer has it: a stranger's connections are few and short. `trust`
    is needed to listen on TLS.
    """

    def __init__(
        self,
        ua: UserAgent,
        listen: Sequence[Address],
        on_events: OnEvents,
        known: Known = lambda host, identities: True,
        limits: Limits = USUAL,
        trust: Trust | None = None,
        tell: Tell = lambda incident, now: None,
    ) -> None:
        self.ua = ua
        self.addresses: list[Address] = []
        self._listen, self._on_events, self._known = tuple(listen), on_events, known
        self._limits, self._trust, self._incident = limits, trust, tell
        self._links: Mapping[str, Link] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None  # uvloop's handle of an overdue moment does not know it
        self._flushing = False
        self.tap: Tap | None = None
        """Whoever looks at each message; nobody costs nothing."""

    async def start(self) -> None:
        """Open the sockets. Port 0 takes a free one; `addresses` says which."""
        self._loop = asyncio.get_running_loop()
        self.udp = UdpSockets(self, self._loop)
        self.streams = Streams(self, self._loop, self._limits, self._trust)
        self._links = {"udp": self.udp, "tcp": self.streams, "tls": self.streams}
        try:
            for address in self._listen:
                self.addresses.append(await self._links[address.transport].open(address))
        except StartError:
            await self.stop()
            raise
        self.ua.listens(self.addresses)
        self.flush()

    async def stop(self) -> None:
        """Send what is left and close."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send()
        for link in {id(link): link for link in self._links.values()}.values():
            await link.close()
        self._links = {}

    def now(self) -> float:
        """The clock that the user agent's `now` is read from."""
        assert self._loop is not None
        return self._loop.time()

    @property
    def lost(self) -> int:
        """Messages that could not be sent; SIP repeats them, or learns of it."""
        return self.udp.lost + self.streams.lost

    def identities(self, source: Address) -> frozenset[str]:
        """Whose the verified certificate is by which a message from there came; empty: it came without one."""
        return self.streams.identities(source) if source.transport == "tls" else frozenset()

    def use(self, trust: Trust | None) -> None:
        """New connections take these certificates; those that stand go on. None changes nothing."""
        self._trust = trust or self._trust
        if self._links:
            self.streams.trust = self._trust

    def flush(self) -> None:
        """Carry events up and messages out until nothing is left, then set the timer."""
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
        self._settle()
        self._set_timer()

    # ------------------------------------------------------------------ what the links tell

    def heard(self, data: bytes, source: Address, local: Address) -> None:
        if self.tap is not None:
            self.tap.heard(data, source, local, time.time())
        self.ua.receive(data, source, local, self.now())

    def failed(self, destination: Address, local: Address) -> None:
        self.ua.transport_failed(destination, local, self.now())

    def lost_connection(self, remote: Address, local: Address) -> None:
        self.ua.connection_lost(remote, local, self.now())

    def needed(self, remote: Address, local: Address) -> bool:
        return self.ua.talks_over(remote, local)

    def known(self, host: str, identities: Collection[str] | None) -> bool:
        return self._known(host, identities)

    def mistrusted(self, source: Address) -> None:
        self._incident(Incident(incidents.TLS, "", source), self.now())

    # ------------------------------------------------------------------ out, up and on

    def _tell(self, happened: list[UaEvent]) -> None:
        """One at a time: a bug above us may cost the call it is about, not what others are waiting for."""
        for event in happened:
            try:
                self._on_events([event])
            except Exception:
                log.exception("handling a SIP event failed")
                if isinstance(event, CallOffered):
                    self.ua.reject(event.leg, 500, now=self.now())

    def _settle(self) -> None:
        """Looking on must never cost a call anything."""
        try:
            if self.tap is not None:
                self.tap.settle()
        except Exception:
            log.exception("tracing failed, and is off until the next reload")
            self.tap = None

    def _send(self) -> None:
        """Until nothing is left: who is not there may leave another way to go."""
        while messages := self.ua.take_datagrams():
            for data, destination, local in messages:
                if self.tap is not None:
                    self.tap.sent(data, destination, local, time.time())
                if (link := self._links.get(local.transport)) is not None:
                    link.send(data, destination, local)

    def _set_timer(self) -> None:
        assert self._loop is not None
        due = self.ua.next_timer()
        if self._timer is not None:
            # One that rings too early finds nothing due and is set anew: cheaper than to move it with each message.
            if due is not None and self._due is not None and self._due <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None and self._links:
            self._timer, self._due = self._loop.call_at(due, self._ring), due

    def _ring(self) -> None:
        self._timer = None
        try:
            self.ua.advance(self.now())
        finally:
            self.flush()  # whatever went wrong, others wait for their turn
