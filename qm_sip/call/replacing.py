"""An INVITE with Replaces: a new leg takes the place of one that its sender names (RFC 3891). Also Join (RFC 3911).

    no such dialog of ours                     481       ended a moment ago                      603
    confirmed, but only early ones are meant   486       still ringing, and not called by us     481
    from whom this is not believed             403       an offer, or a transfer, is under way   491

Only a trusted peer may: whoever takes a leg over hears the customer, and is heard by him. A confirmed leg is ended with
BYE; one that still rings is cancelled, and the newcomer answers in its stead (a pick-up). Who he is is decided like
every change of party, before his INVITE is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qm_sip.call import headers
from qm_sip.call.arrival import CallRefused, peer_of
from qm_sip.call.headers.privacy import from_value
from qm_sip.call.seat import Leaving, Newcomer, pick_up, take
from qm_sip.call.security import security_of
from qm_sip.call.session import LegSession, answering, read_sdp, unrecordable
from qm_sip.call.states import State
from qm_sip.media.protocol import LegName
from qm_sip.sip import events as sip
from qm_sip.sip.asking import Phase
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request
from qm_sip.sip.refer import Replaces, replaces_of
from qm_sip.sip.ua import Found

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.switchboard import Switchboard


def asks_for_a_leg(request: Request) -> bool:
    return request.get("replaces") is not None or request.get("join") is not None


def replace_leg(board: Switchboard, event: sip.CallOffered, now: float) -> None:
    """Do what such an INVITE asks. Raises CallRefused."""
    peer = _allowed(board, event)
    found, wish = _named(board, event.request)
    call, at = _place(board, found, wish)
    newcomer = _newcomer(board, event, call, at, peer)
    if found.phase is Phase.EARLY:
        pick_up(call, newcomer, now)
        return
    was = take(call, newcomer, now, answers=True)
    Leaving(call, at, was, now, lambda at_: call.only(at, at_))


def _allowed(board: Switchboard, event: sip.CallOffered) -> str:
    config = board.settings.config
    name = peer_of(config, event.source, board.identities(event.source))
    peer = config.peer(name) if name is not None else None
    if name is None or peer is None or not peer.trusted or "carry" not in peer.may:
        raise CallRefused(403, "its sender may not take anybody's place in a call")
    return name


def _named(board: Switchboard, request: Request) -> tuple[Found, Replaces]:
    """The leg it means, by the tags as the one sees them who is asked (RFC 3891 3)."""
    try:
        wish = replaces_of(request)
        joins = Replaces.parse(request.get("join") or "") if wish is None else None
    except SipParseError as error:
        raise CallRefused(error.status, "the dialog it wants to take over cannot be read") from None
    named = wish or joins
    assert named is not None
    found = board.ua.find(named.dialog)
    if found is None or (found.phase is Phase.EARLY and not found.called_by_us):
        raise CallRefused(481, "the dialog it wants to take over is none of ours")
    if wish is None:
        raise CallRefused(488, "nobody is mixed into a call here")  # a third voice, whom nobody was told of
    if found.phase is Phase.OVER:
        raise CallRefused(603, "the dialog it wants to take over has ended")
    if found.phase is Phase.UP and wish.early_only:
        raise CallRefused(486, "the dialog it wants to take over has been answered")
    return found, wish


def _place(board: Switchboard, found: Found, wish: Replaces) -> tuple[Call, LegName]:
    known = board.call_of(wish.dialog)
    if known is None:  # a feature code's, or a leg that is being replaced already
        raise CallRefused(481, "the dialog it wants to take over belongs to no call")
    call, at = known
    ringing = found.phase is Phase.EARLY and call.state in (State.CALLING, State.SEEKING)
    talking = found.phase is Phase.UP and call.state is State.TALKING and call.exchange.idle
    if not (ringing or talking) or call.transfers.under_way:
        raise CallRefused(491, "the call it wants a place in is changing")
    return call, at


def _newcomer(board: Switchboard, event: sip.CallOffered, call: Call, at: LegName, peer: str) -> Newcomer:
    request = event.request
    security = security_of(board.settings.config.peer(peer), event.local.transport)
    session = LegSession(at, board.session_id(), event.local.host, security)
    session.theirs = theirs = read_sdp(request)
    session.socket = call.exchange.sessions[at].socket
    other = call.exchange.description_for(session)
    spoken = theirs is not None and not (
        call.relayed and unrecordable(theirs, security, call.exchange.voices)
    )
    if (
        theirs is None
        or other is None
        or not spoken
        or answering(theirs, other, relayed=call.relayed) is None
    ):
        raise CallRefused(488, "its SDP does not fit the call it wants a place in")
    sender = headers.user_of(request.get("From"))
    how = "taken-over" if call.state is State.TALKING else "picked-up"
    asserted = headers.identities(request, board.settings.config.peer(peer))
    known = board.settings.config.peer(peer)
    names = [*asserted, *([sender] if sender else []), *headers.named(request, known)]
    address = from_value(request, event.local, hidden=False)
    return Newcomer(event.leg, session, peer, known, address, names, how, message=request)
