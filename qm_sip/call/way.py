"""Where a call leads: the callee's place, what crosses on the way there, and what we are called on each side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qm_sip.call import headers
from qm_sip.call.headers import Border
from qm_sip.call.media_plan import other
from qm_sip.config import Peer
from qm_sip.config.server import Media
from qm_sip.media.protocol import LegName
from qm_sip.sip import events as sip
from qm_sip.sip.body import Part
from qm_sip.sip.sdp import Sdp


@dataclass(frozen=True)
class Way:
    """Where the callee leg goes, and with which headers. Made by the switchboard."""

    uri: str
    to: str
    from_: str
    headers: headers.Headers
    places: tuple[sip.Address, ...]  # the first to try first
    local: sip.Address
    beside: Sequence[Part]  # of the INVITE's body, what goes along beside the description
    before: int  # how many of these stand before it
    max_forwards: int
    borders: Mapping[LegName, Border]  # by the leg that a message comes from
    reliable: bool  # both legs began over TCP
    session_id: str  # the caller's
    peer: str  # of the callee's leg
    caller_peer: str

    def peer_of(self, leg: LegName) -> str:
        return self.caller_peer if leg == "caller" else self.peer

    def with_other(self, leg: LegName, name: str, peer: Peer, address: str) -> Way:
        """The same call, with somebody else on that leg. What the old caller said of himself is not the new one's."""
        far = other(leg)
        mine, theirs = replace(self.borders[leg], source=peer), replace(self.borders[far], target=peer)
        way = replace(self, borders={leg: mine, far: theirs})
        if leg == "caller":
            return replace(way, caller_peer=name, from_=address, headers=[], beside=(), before=0)
        return replace(way, peer=name, to=address)

    def our_host(self, leg: LegName, media: Media) -> str:
        """What we are called on a leg (o=): the socket where the call came in, or an address of the callee's family."""
        local, there = self.local.host, self.places[0].host
        same = leg == "caller" or (":" in local) == (":" in there)
        return local if same else media.towards(there)

    def media_host(self, leg: LegName, theirs: Sdp | None, media: Media) -> str | None:
        """Where we take a leg's audio, if it is not the usual address: an offer says of which family its peer is."""
        audio = theirs.audio if theirs else None
        there = theirs.address_of(audio) if theirs and audio else None
        ours = media.towards(there or self.our_host(leg, media))
        return ours if ours != media.address else None

    def after(self, hops: int) -> Way:
        """The same call, so many hops away from its end (RFC 7332)."""
        return replace(self, max_forwards=hops)
