"""What the user agent tells whoever uses it: past tense, one frozen value each.

A *leg* is one INVITE usage: from the INVITE to the end of its dialog and of every transaction in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from qm_sip.sip.message import Request, Response

LegId = str


class Address(NamedTuple):
    """An IP address and port, of a peer or of one of our own sockets, and what is spoken there."""

    host: str
    port: int
    transport: str = "udp"

    @property
    def reliable(self) -> bool:
        """Whether what is sent there arrives, once and in order, as long as the connection stands (17.1.1.2)."""
        return self.transport != "udp"


class Datagram(NamedTuple):
    """One message to send, from the socket bound to `local`, or on the connection that it made or took."""

    data: bytes
    destination: Address
    local: Address

    def __repr__(self) -> str:
        return f"<Datagram {len(self.data)} bytes>"  # no names, addresses or keys


@dataclass(frozen=True, slots=True)
class CallOffered:
    """A new INVITE that passed every check; 100 Trying has been sent. Answer, reject or let it ring."""

    leg: LegId
    request: Request
    source: Address = field(repr=False)  # no address in a log (invariant I10)
    local: Address = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progressed:
    """Our INVITE got a provisional response above 100. If it was reliable and brought an offer (our INVITE had none):
    `ack()`, else its PRACK is on the way.
    """

    leg: LegId
    response: Response


@dataclass(frozen=True, slots=True)
class Answered:
    """Our INVITE got its (first) 2xx. The description may have come before it, in a reliable 1xx with the same To tag.
    The ACK is on its way, unless our INVITE carried no offer: then
    `ack()`.
    """

    leg: LegId
    response: Response


@dataclass(frozen=True, slots=True)
class Rejected:
    """Our INVITE failed for good. Without a response: 408 timer B or ring timeout, 487 cancelled, 503
    transport.
    """

    leg: LegId
    status: int
    response: Response | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ACK of our 2xx (first answer or a re-INVITE's) arrived. `late`: the INVITE brought no offer, so that ours
    stood in the 2xx at the latest, and this carries the answer, unless a PRACK has.
    """

    leg: LegId
    request: Request
    late: bool = False


@dataclass(frozen=True, slots=True)
class EarlyAnswer:
    """The PRACK of a 1xx of ours that made an offer: it carries the answer (RFC 3262 5)."""

    leg: LegId
    request: Request


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up before our final response; 200 to the CANCEL and 487 have been sent."""

    leg: LegId
    request: Request


@dataclass(frozen=True, slots=True)
class OfferReceived:
    """A re-INVITE (with or without an offer), or an UPDATE or PRACK with one: `answer_offer` or `reject_offer`."""

    leg: LegId
    request: Request


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    """The peer cancelled its re-INVITE before we answered; 487 has been sent. An `answer_offer` now is
    ignored.
    """

    leg: LegId
    request: Request


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """Our re-INVITE, or UPDATE before the answer, got its 2xx. The ACK is on its way, unless we made no offer: then
    `ack()`.
    """

    leg: LegId
    response: Response


@dataclass(frozen=True, slots=True)
class OfferRejected:
    """Our re-INVITE or UPDATE failed, or could not be sent (504); the session goes on as before (unless `Ended`
    follows).
    """

    leg: LegId
    status: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The session timer repeated what stands in a re-INVITE, and this 2xx brought a description. As a rule it says
    what the peer has said before.
    """

    leg: LegId
    response: Response


@dataclass(frozen=True, slots=True)
class InDialogRequest:
    """INFO, UPDATE without SDP, REFER ... in the dialog. Not answered yet: `respond(leg, token, ...)`."""

    leg: LegId
    token: int
    request: Request


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """A request we sent with `request()` got its final response (or none: `response` is None, status 408)."""

    leg: LegId
    method: str
    status: int
    response: Response | None
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The dialog is over, not by our own `bye`. `reason`: bye, no-ack, no-prack, expired (nobody refreshed the
    session), gone (481), timeout (408), transport.
    """

    leg: LegId
    request: Request | None
    reason: str


@dataclass(frozen=True, slots=True)
class LegGone:
    """Every transaction of the leg has ended; nothing more will be said of it. Always the last event of a
    leg.
    """

    leg: LegId


UaEvent = (
    CallOffered
    | Progressed
    | Answered
    | Rejected
    | Acknowledged
    | EarlyAnswer
    | Cancelled
    | OfferReceived
    | OfferWithdrawn
    | OfferAnswered
    | OfferRejected
    | Refreshed
    | InDialogRequest
    | RequestAnswered
    | Ended
    | LegGone
)
