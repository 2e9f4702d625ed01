"""The user agent: INVITE usages over transactions and dialogs, sans-IO. Bytes and `now` in, events and bytes out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qm_sip.private import Private
from qm_sip.sip.events import Address, Datagram, LegId, UaEvent
from qm_sip.sip.message import Request

HeaderList = Sequence[tuple[str, str]]
Admit = Callable[[Request, Address], int | None]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a peer that challenges us (RFC 8760). An empty realm fits every challenge."""

    username: str
    password: Private[str]
    realm: str = ""


@dataclass(frozen=True, slots=True)
class UserAgentSettings:
    """How this user agent behaves. Times in seconds."""

    user_agent: str = "qm_sip"
    """Value of User-Agent and Server."""
    contact_user: str = "qm"
    """User part of our Contact."""
    external_address: Address | None = None
    """What Via and Contact name instead of the local socket, when we stand behind a static NAT."""
    sent_by: Mapping[Address, Address] = field(default_factory=dict)
    """The same per local socket; wins over `external_address`."""
    t1: float = 0.5
    """Round-trip estimate (RFC 3261 17.1.1.1)."""
    t2: float = 4.0
    """Cap of retransmission intervals."""
    t4: float = 5.0
    """How long a message may stay in the network."""
    timer_d: float = 32.0
    """How long an answered client INVITE transaction lasts (at least 32 s on UDP)."""
    ring_timeout: float = 180.0
    """How long our INVITE may ring before we cancel it (13.3.1: the TU's own policy)."""
    retry_after: int = 30
    """Retry-After of a 503, seconds."""
    max_legs: int = 10_000
    """More legs than this at once: 503."""


class UserAgent:
    """See the module's docstring. Every command takes `now` last."""

    def __init__(self, settings: UserAgentSettings, rng: random.Random, admit: Admit) -> None: ...

    def receive(self, data: bytes, source: Address, local: Address, now: float) -> None: ...

    def advance(self, now: float) -> None: ...

    def next_timer(self) -> float | None: ...

    def take_events(self) -> list[UaEvent]: ...

    def take_datagrams(self) -> list[Datagram]: ...

    def reject_new(self, status: int | None) -> None:
        """From now on answer new INVITEs with this status (503 + Retry-After); None: take calls again."""

    def transport_failed(self, destination: Address, local: Address, now: float) -> None:
        """The network said that nothing listens there (ICMP): fail the client transactions towards it."""

    def invite(
        self,
        leg: LegId,
        uri: str,
        *,
        to: str,
        from_: str,
        headers: HeaderList = (),
        body: bytes | None,
        destination: Address,
        local: Address,
        credentials: Credentials | None = None,
        max_forwards: int = 70,
        now: float,
    ) -> None:
        """Call `uri`. `to` and `from_` are header values without tag; a Content-Type may stand in `headers`."""

    def provisional(
        self, leg: LegId, status: int, *, headers: HeaderList = (), body: bytes | None = None, now: float
    ) -> None: ...

    def answer(self, leg: LegId, body: bytes | None, *, headers: HeaderList = (), now: float) -> None: ...

    def reject(
        self, leg: LegId, status: int, *, reason: str = "", headers: HeaderList = (), now: float
    ) -> None: ...

    def cancel(self, leg: LegId, *, headers: HeaderList = (), now: float) -> None: ...

    def bye(self, leg: LegId, *, headers: HeaderList = (), now: float) -> None: ...

    def reoffer(self, leg: LegId, body: bytes | None, *, headers: HeaderList = (), now: float) -> None: ...

    def answer_offer(
        self, leg: LegId, body: bytes | None, *, headers: HeaderList = (), now: float
    ) -> None: ...

    def reject_offer(self, leg: LegId, status: int, *, headers: HeaderList = (), now: float) -> None: ...

    def ack(self, leg: LegId, body: bytes, *, now: float) -> None: ...

    def request(
        self, leg: LegId, method: str, headers: HeaderList = (), body: bytes | None = None, *, now: float
    ) -> None: ...

    def respond(
        self,
        leg: LegId,
        token: int,
        status: int,
        headers: HeaderList = (),
        body: bytes | None = None,
        *,
        now: float,
    ) -> None: ...
