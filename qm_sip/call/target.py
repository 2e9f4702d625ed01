"""Whom a transfer goes to: looked up like any number that is dialled, by the routes of whoever asked for it.

No open relay: a peer can have nobody called whom it could not call itself, and codes of ours are nobody's target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qm_sip.call import headers
from qm_sip.call.capture import agent_of
from qm_sip.call.headers.privacy import ANONYMOUS
from qm_sip.call.media_plan import other
from qm_sip.call.seat import called_now
from qm_sip.media.protocol import LegName
from qm_sip.privateline.toggle import why_not_private
from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request
from qm_sip.sip.refer import ReferTo

if TYPE_CHECKING:
    from qm_sip.call.call import Call

ALLOWED_HOPS = 70


class NotSent(Exception):
    """This REFER, or this INVITE with Replaces, gets that status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


@dataclass(frozen=True)
class Target:
    number: str
    private: bool  # the private prefix was dialled before it
    uri: str
    peer: str
    places: tuple[Address, ...]  # the first to try first
    from_: str
    headers: headers.Headers
    max_forwards: int


def find(call: Call, leg: LegName, refer: ReferTo, request: Request) -> Target:
    """Where the REFER that came on that leg leads. Raises NotSent."""
    config, peer = call.config, call.way.peer_of(leg)
    dialled = refer.address.uri.number
    bare = config.private_prefix(dialled)
    called = dialled if bare is None else bare
    if bare is not None:
        _may_be_private(call, leg)
    if "carry" not in config.peer(peer).may or config.feature(called) is not None:
        raise NotSent(403)
    route = config.route(peer, called) if called else None
    if route is None:
        raise NotSent(404)
    target = config.peer(route.to)
    places = call.desk.locate(target)
    if target.next_hop is None or not places:
        raise NotSent(503)
    host, port = target.next_hop
    over = () if target.transport == "udp" else (("transport", target.transport),)
    return Target(
        number=called,
        private=bare is not None,
        uri=str(Uri.sip(host, port, called, over)),
        peer=route.to,
        places=places,
        from_=_from(call, other(leg), trusted=target.trusted),
        headers=_headers(call, leg, request, trusted=target.trusted),
        max_forwards=_hops(call, request),
    )


def _may_be_private(call: Call, leg: LegName) -> None:
    """Only the agent's own side may ask for it, and only where the law does not require a recording (row 4)."""
    agent = agent_of(call.facts) if leg == call.agents_leg else None
    may = "toggle" in call.config.peer(call.way.peer_of(leg)).may
    if agent is None or not may or why_not_private(call.config, call.facts) is not None:
        raise NotSent(403)


def _hops(call: Call, request: Request) -> int:
    """RFC 7332: each transfer is one hop more of the same call, so that a circle of them ends."""
    left = request.max_forwards
    hops = min(call.way.max_forwards, ALLOWED_HOPS if left is None else left) - 1
    if hops <= 0:
        raise NotSent(483)
    return hops


def _from(call: Call, rest: LegName, *, trusted: bool) -> str:
    """Whoever stays is the one that calls; at our own address, as in any call that we pass on."""
    local, known = call.way.local, NameAddr.parse(called_now(call, rest))
    if not trusted and rest == "caller" and any(name == "Privacy" for name, _ in call.way.headers):
        return ANONYMOUS
    ours = Uri.sip(local.host, local.port, known.uri.number or "anonymous")
    return str(NameAddr(known.display, ours))


def _headers(call: Call, leg: LegName, request: Request, *, trusted: bool) -> headers.Headers:
    """Identity crosses between trusted peers only; so does Referred-By, which names whoever transferred (RFC 3892)."""
    if not trusted:
        return []
    rest = other(leg)
    stays = call.way.headers if rest == "caller" and call.way.borders[rest].source.trusted else []
    return [*stays, *(referred_by(request) if call.way.borders[leg].source.trusted else [])]


def referred_by(request: Request) -> headers.Headers:
    """The one Referred-By of a REFER, if it can be read (RFC 3892)."""
    found = request.all("Referred-By")
    return [("Referred-By", found[0])] if len(found) == 1 and headers.user_of(found[0]) is not None else []
