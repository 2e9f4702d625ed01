"""What all legs of a user agent share: timers, transactions, identities, and the two lists that go out."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qm_sip.sip.address import Uri
from qm_sip.sip.dialog import DialogId
from qm_sip.sip.events import Address, Datagram, LegId, UaEvent
from qm_sip.sip.grammar import format_host
from qm_sip.sip.layer import TransactionLayer
from qm_sip.sip.locating import Silent
from qm_sip.sip.message import Header, Request, Response, canonical, header
from qm_sip.sip.reply import reply, reply_address
from qm_sip.sip.settings import Prack, UserAgentSettings
from qm_sip.sip.timers import Timers
from qm_sip.sip.via import MAGIC_COOKIE

if TYPE_CHECKING:
    from qm_sip.sip.leg import Leg

HeaderList = Sequence[tuple[str, str]]

MOST_IN_A_DATAGRAM: Final = 1300
"""Bytes of a request that is sent over UDP; what is larger may not arrive (18.1.1)."""
DEAF_FOR: Final = 60.0
"""Seconds until a peer that refused a connection for a large request is tried again."""

# What a caller of the user agent may not set: these are the dialog's and the transaction's own.
_OURS: Final = frozenset(
    {"via", "from", "to", "call-id", "cseq", "max-forwards", "content-length", "record-route"}
)


class Core:
    """The common ground of one user agent."""

    def __init__(self, settings: UserAgentSettings, rng: random.Random) -> None:
        self.settings, self.rng = settings, rng
        self.timers = Timers()
        self.layer = TransactionLayer(settings.timers, self.timers, self.send)
        self.legs: dict[LegId, Leg] = {}
        self.dialogs: dict[DialogId, Leg] = {}
        self.named: dict[str, dict[LegId, None]] = {}  # the legs of each Call-ID
        self.events: list[UaEvent] = []
        self.datagrams: list[Datagram] = []
        self.counts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        """Calls that each peer has brought and that still run."""
        self.heard: Callable[[LegId, Request | Response], None] = lambda leg, message: None
        self.sockets: tuple[Address, ...] = ()
        self.silent = Silent()
        self._deaf: dict[
            Address, float
        ] = {}  # who refused a large request over TCP, and until when we believe him
        self.instance = f"qm{rng.getrandbits(40):010x}"
        self._allow = header("Allow", ", ".join(settings.allow))
        self._server = header("Server", settings.user_agent)
        self._agent = header("User-Agent", settings.user_agent)

    def send(self, data: bytes, destination: Address, local: Address) -> None:
        """Put bytes on the way."""
        self.datagrams.append(Datagram(data, destination, local))

    def enter(self, leg: Leg, call_id: str) -> None:
        """A leg begins."""
        self.legs[leg.name] = leg
        self.named.setdefault(call_id, {})[leg.name] = None

    def leave(self, name: LegId, call_id: str) -> None:
        """A leg is gone."""
        self.legs.pop(name, None)
        same = self.named.get(call_id, {})
        same.pop(name, None)
        if not same:
            self.named.pop(call_id, None)

    def emit(self, event: UaEvent) -> None:
        """Tell the user."""
        self.events.append(event)

    def token(self) -> str:
        """A fresh tag, Call-ID or branch part: 64 random bits (19.3 asks for 32)."""
        return f"{self.rng.getrandbits(64):016x}"

    def place(self, local: Address) -> Address:
        """How the socket at `local` is reached from outside."""
        told = self.settings.sent_by.get(local) or self.settings.external_address
        if told is None or not _same_family(told, local):
            return local
        return Address(told.host, told.port or local.port, local.transport)

    def contact(self, local: Address) -> Header:
        """Our Contact on the socket at `local`."""
        host, port, transport = self.place(local)
        params = () if transport == "udp" else (("transport", transport),)
        return header("Contact", f"<{Uri.sip(host, port, self.settings.contact_user, params)}>")

    def via(self, local: Address) -> Header:
        """A Via with a fresh branch. The branch carries our instance, so that a loop shows (16.3 item 4)."""
        return self._via(local, f"{MAGIC_COOKIE}{self.instance}{self.token()}")

    def _via(self, local: Address, branch: str) -> Header:
        host, port, transport = self.place(local)
        rport = ";rport" if transport == "udp" else ""  # on a stream the answer comes by the connection
        return header("Via", f"SIP/2.0/{transport.upper()} {format_host(host)}:{port}{rport};branch={branch}")

    # ------------------------------------------------------------------ over what a request goes

    def way(self, destination: Address, near: Address) -> tuple[Address, Address]:
        """Where a request goes, and by which socket of ours: one of the destination's transport and family, on the host
        of `near` rather than on another. If we have none, it goes over what is spoken at `near`, by `near` if it can.
        """
        if near.transport == destination.transport and _same_family(near, destination):
            return destination, near
        reach = [at for at in self.sockets if _same_family(at, destination)]
        ours = [at for at in reach if at.transport == destination.transport]
        if not ours:
            destination = destination._replace(transport=near.transport)
            ours = [at for at in reach if at.transport == near.transport] or [near]
        return destination, next((at for at in ours if at.host == near.host), ours[0])

    def by_size(
        self, request: Request, destination: Address, local: Address, now: float
    ) -> tuple[Request, Address, Address]:
        """18.1.1: a request too large for one packet goes over TCP, if we and the peer have it. That a peer has it
        not shows when it refuses the connection: then the request goes over UDP, and so do others for a minute.
        """
        stream = destination._replace(transport="tcp")
        if destination.reliable or not self._has_streams() or self._is_deaf(stream, now):
            return request, destination, local
        there, here = self.way(stream, local)
        if not there.reliable or len(request.to_bytes()) <= MOST_IN_A_DATAGRAM:
            return request, destination, local
        via = self._via(here, request.via.branch)
        rest = [h for h in request.headers if h.key != "via"]
        return Request(request.method, request.uri, [via, *rest], request.body), there, here

    def refused_streams(self, destination: Address, now: float) -> None:
        """A large request found nobody who takes connections there."""
        self._deaf = {address: until for address, until in self._deaf.items() if until > now}
        self._deaf[destination] = now + DEAF_FOR

    def _has_streams(self) -> bool:
        return any(at.reliable for at in self.sockets)

    def _is_deaf(self, destination: Address, now: float) -> bool:
        return self._deaf.get(destination, now) > now

    def looped(self, request: Request) -> bool:
        """Whether one of the hops of a request was this user agent."""
        mark = MAGIC_COOKIE + self.instance
        return any(via.branch.startswith(mark) for via in request.vias)

    def stateless_tag(self, request: Request) -> str:
        """A To tag for an answer outside any transaction: the same for every copy of the request (8.2.7)."""
        text = f"{self.instance} {request.get('call-id')} {request.via} {request.get('cseq')}"
        return hashlib.blake2s(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()

    def refuse(
        self,
        request: Request,
        status: int,
        local: Address,
        headers: Iterable[Header] = (),
        *,
        bare: bool = False,
    ) -> None:
        """Answer without a transaction. Copies of the request are answered anew, an ACK is ignored. `bare`: without
        our name, for those who need not know it.
        """
        self.counts[f"refused-{status}"] += 1
        tag = self.stateless_tag(request)
        response = reply(request, status, tag=tag, headers=[*headers] if bare else [*headers, self._server])
        self.send(response.to_bytes(), reply_address(request, local), local)

    def take_also(self, method: str) -> None:
        """From now on such requests are taken too, and Allow says so."""
        if method not in self.settings.allow:
            self.settings = replace(self.settings, allow=(*self.settings.allow, method))
            self._allow = header("Allow", ", ".join(self.settings.allow))

    def allow(self) -> Header:
        """Our Allow header."""
        return self._allow

    def supported(self, prack: Prack) -> str:
        """What we do with a peer, as a Supported header says it (RFC 3261 20.37)."""
        return "timer" if prack is Prack.NO else "100rel, timer"

    def request_headers(self, local: Address, extra: HeaderList, body: bytes | None) -> list[Header]:
        """Contact, Allow and User-Agent of a request, the caller's own headers, and the body's type and
        length.
        """
        own = [self.contact(local), self._allow, self._agent]
        return _join(own, extra, body)

    def response_headers(self, local: Address, extra: HeaderList, body: bytes | None) -> list[Header]:
        """The same for a 1xx above 100 and a 2xx. `reply` adds the length."""
        own = [self.contact(local), self._allow, self._server]
        return _join(own, extra, body)[:-1]

    def plain_headers(self, extra: HeaderList, body: bytes | None = None) -> list[Header]:
        """The same for a failure, which makes no dialog."""
        return _join([self._server], extra, body)[:-1]


def _same_family(one: Address, other: Address) -> bool:
    return (":" in one.host) == (":" in other.host)


def _join(own: list[Header], extra: HeaderList, body: bytes | None) -> list[Header]:
    """Ours first, unless the caller gave one of that name; then the caller's; then type and length."""
    given = [header(name, value) for name, value in extra if canonical(name) not in _OURS]
    keys = {h.key for h in given}
    joined = [*(h for h in own if h.key not in keys), *given]
    if body and "content-type" not in keys:
        joined.append(header("Content-Type", "application/sdp"))
    joined.append(header("Content-Length", str(len(body or b""))))
    return joined
