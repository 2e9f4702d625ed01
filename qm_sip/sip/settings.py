"""How a user agent behaves: every setting with its unit and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from qm_sip.sip.events import Address
from qm_sip.sip.transaction import TimerSettings


class Prack(StrEnum):
    """Whether provisional responses go and come reliably (RFC 3262), which costs a PRACK and its answer each."""

    NO = "no"  # not spoken: who requires it gets 420
    YES = "yes"  # where both ends know it, and a description or the other end's wish makes it worth it
    REQUIRED = "required"  # whom we call must know it


@dataclass(frozen=True, slots=True)
class UserAgentSettings:
    """Times in seconds."""

    user_agent: str = "qm_sip"
    """Value of User-Agent and Server."""
    contact_user: str = "qm"
    """User part of our Contact."""
    external_address: Address | None = None
    """What Via and Contact name instead of the local socket, behind a static NAT. Port 0: the socket's
    own.
    """
    sent_by: Mapping[Address, Address] = field(default_factory=dict)
    """The same per local socket; wins over `external_address`."""
    t1: float = 0.5
    """Round-trip estimate (RFC 3261 17.1.1.1)."""
    t2: float = 4.0
    """Cap of retransmission intervals (17.1.2.2)."""
    t4: float = 5.0
    """How long a message may stay in the network (17.1.2.2)."""
    timer_d: float = 32.0
    """How long a failed client INVITE transaction lasts; at least 32 s on UDP (17.1.1.2)."""
    ring_timeout: float = 180.0
    """How long our INVITE may stay unanswered after its first 1xx before it is cancelled (13.3.1: our
    policy).
    """
    refresh_provisional: float = 60.0
    """How often a provisional answer is repeated while it rings (13.3.1.1: every minute)."""
    next_hop_wait: float = 4.0
    """How long an INVITE with other places to go may stay without any answer (RFC 3263 4.3 says 32 s; a caller will not
    wait that long).
    """
    retry_after: int = 30
    """Retry-After of a 503, seconds."""
    allow: tuple[str, ...] = (
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "INFO",
        "UPDATE",
        "PRACK",
        "MESSAGE",
        "REFER",
        "NOTIFY",
    )
    """Methods in Allow. What is not here gets 405; what the user agent does not answer itself is handed
    up.
    """
    supported: tuple[str, ...] = ("100rel", "timer", "record-aware", "replaces", "norefersub")
    """Option tags that a peer may require of us. Anything else in Require gets 420; so does `100rel` from a peer
    with `Prack.NO`.
    """
    session_expires: int = 1800
    """The session interval we ask for, in seconds (RFC 4028); 0: we ask for none, but keep what the other asks for."""
    min_se: int = 90
    """The shortest session interval we agree to (RFC 4028 5: at least 90)."""
    max_legs: int = 10_000
    """More legs than this at once: new INVITEs get 503."""
    max_transactions: int = 500
    """More requests than this at once in one leg: all but a BYE get 503."""
    max_forks: int = 16
    """More answering ends of one INVITE than this are not looked at."""
    max_offer_retries: int = 5
    """How often a re-INVITE that met a 491 is tried again."""

    @property
    def timers(self) -> TimerSettings:
        """The part that transactions need."""
        return TimerSettings(self.t1, self.t2, self.t4, self.timer_d)
