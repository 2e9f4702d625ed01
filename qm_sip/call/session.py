"""The SDP side of one leg: what it said, what we said, and an o= line that is ours alone.

The o= line of a leg keeps one session id for the leg's life and its version grows by one when, and only when,
the description changes (RFC 3264 section 8), whoever's media it describes at the moment. So a call that goes
from relayed to direct looks to each side like one session whose address changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import replace
from ipaddress import ip_address

from qm_sip.call.security import PLAIN, Role, Security
from qm_sip.media import protocol
from qm_sip.media.protocol import Directionality, LegName
from qm_sip.sip.body import description
from qm_sip.sip.codecs import COMPANIONS, EVERY, KEPT, Voices, rtpmap, spoken, voice_of
from qm_sip.sip.message import Request, Response
from qm_sip.sip.sdp import (
    Direction,
    Format,
    OriginOf,
    Sdp,
    SdpError,
    answer,
    keep_formats,
    reject_stream,
    with_record,
)

HELD = frozenset({Direction.SENDONLY, Direction.INACTIVE})
SILENCED = frozenset({Direction.RECVONLY, Direction.INACTIVE})  # what one answers who is held


class LegSession:
    """One leg's half of the offer/answer exchange."""

    def __init__(
        self, name: LegName, session_id: int, address: str, security: Security | None = None
    ) -> None:
        self.name, self.address = name, address
        self.security = security or Security()
        self.theirs: Sdp | None = None
        self.offering: Sdp | None = None  # an offer of theirs that has not been answered yet
        self.socket: protocol.LegOpened | None = None
        self.said: bytes | None = None  # what we said last on this leg
        self._origin = OriginOf(session_id)
        self._relayed = False  # what we said last is of our own socket
        self._bare: Sdp | None = None  # the same, without what we said of recording
        self.indicate: Callable[[], str | None] = lambda: None  # whether and what is said of recording now
        self.told: str | None = None  # what was last

    def dress(self, sdp: Sdp, role: Role | None = None) -> bytes:
        """Say this as ours on this leg: with our o= line, its version grown if anything changed. With a `role` its
        audio is ours, and so are the keys; else both are of somebody else.
        """
        self._bare, self._relayed, self.told = sdp, role is not None, self.indicate()
        keyed = sdp if role is None else self.security.sealed(sdp, role, self.theirs)
        whole = keyed if self.told is None else with_record(keyed, self.told)
        self.said = self._origin.stamp(whole, self.address).to_bytes()
        return self.said

    def again(self, role: Role = "offer") -> bytes | None:
        """What we said last, as it is now: only what it says of recording may be another, and in an answer the one key
        that was chosen stands where an offer has several.
        """
        return None if self._bare is None else self.dress(self._bare, role if self._relayed else None)

    @property
    def agreed(self) -> tuple[str, ...]:
        """The voice to offer elsewhere so that nothing needs transcoding: the one agreed here, if one is."""
        said = [voice_of(one) for one in codecs(Sdp.parse(self.said))] if self.said else []
        theirs = [voice_of(one) for one in codecs(self.theirs)] if self.theirs else said
        return tuple(voice for voice in said if voice and voice in theirs)[:1]

    def repeats(self, sdp: Sdp) -> bool:
        """Whether the peer offers again what stands already: a session refresh (RFC 4028 section 7.4)."""
        return self.theirs is not None and same(self.theirs, sdp)


def same(one: Sdp, other: Sdp) -> bool:
    """Whether two descriptions differ in nothing but their origin."""
    return _without_origin(one) == _without_origin(other)


def _without_origin(sdp: Sdp) -> tuple[object, ...]:
    return (*(line for line in sdp.session if line[:2] != "o="), *sdp.media)


def read_sdp(message: Request | Response) -> Sdp | None:
    """The description in a message, or None if there is none that can be read."""
    body = description(message)
    try:
        return None if body is None else Sdp.parse(body)
    except SdpError:
        return None


def unreadable(message: Request | Response) -> bool:
    """Whether the message brings a description that nobody can read."""
    return description(message) is not None and read_sdp(message) is None


def codecs(sdp: Sdp) -> list[Format]:
    """The audio stream's encodings that the engine knows."""
    return spoken(sdp.audio.codecs if sdp.audio else (), KEPT)


def first_voice(sdp: Sdp) -> Format | None:
    """The first encoding named that can be recorded."""
    return next((one for one in codecs(sdp) if voice_of(one)), None)


def holds(sdp: Sdp) -> bool:
    """Whether the sender of this description does not want to hear the other: hold (RFC 3264 section 8.4)."""
    audio = sdp.audio
    return audio is not None and sdp.direction_of(audio) in HELD


def unrecordable(sdp: Sdp, security: Security = PLAIN, voices: Voices = EVERY) -> str | None:
    """Why the engine cannot relay and record what this offers: no-audio, encrypted, unencrypted (and that is required),
    codec, address. None: it can.
    """
    audio = sdp.audio
    if audio is None or audio.rejected:
        return "no-audio"
    if (problem := security.problem(audio)) is not None:
        return problem
    if not _has_voice(sdp, voices.names):
        return "codec"
    return None if is_one_host(sdp.address_of(audio)) else "address"


@functools.lru_cache(maxsize=256)
def is_one_host(address: str | None) -> bool:
    """Whether audio may be sent there: to one host, told by its number. Nothing is asked of a name server, and nobody
    has us speak to many at once. (0.0.0.0 is nowhere, and holds: RFC 3264 8.4.)
    """
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    return "%" not in str(found) and not found.is_multicast and str(found) != "255.255.255.255"


def only(sdp: Sdp, names: Collection[str] = KEPT, *, ordered: bool = False) -> Sdp:
    """Leave these encodings alone in the audio; what has none of them is as it was, and whoever is told of it may
    refuse it.
    """
    return keep_formats(sdp, names, ordered=ordered) if _has_voice(sdp, names) else sdp


def _has_voice(sdp: Sdp, names: Collection[str]) -> bool:
    return any(voice_of(one) in names for one in codecs(sdp))


def as_many_streams(sdp: Sdp, before: Sdp | None) -> Sdp:
    """No stream that was ever described may disappear from a dialog (RFC 3264 8): those beyond ours are refused."""
    missing = before.media[len(sdp.media) :] if before is not None else ()
    return replace(sdp, media=(*sdp.media, *map(reject_stream, missing))) if missing else sdp


def answering(offered: Sdp, heard_at: Sdp, *, relayed: bool = False) -> Sdp | None:
    """An answer to that offer which sends its audio where `heard_at` wants it: two who both made an offer are joined.
    None: they have no voice in common that is known here, or, unless each has us between, one of them speaks SRTP.
    """
    audio, theirs = offered.audio, heard_at.audio
    if audio is None or theirs is None or not (relayed or _both_plain(offered, heard_at)):
        return None
    there = {voice_of(one) for one in codecs(heard_at)}
    common = [voice for one in codecs(offered) if (voice := voice_of(one)) in there and voice is not None]
    address = heard_at.address_of(theirs) or "0.0.0.0"
    if not common:
        return None
    way = heard_at.direction_of(theirs)
    return answer(
        offered,
        0,
        0,
        address,
        theirs.port,
        names=(*common, *COMPANIONS),
        direction=way,
        rtcp_port=theirs.rtcp_port,
    )


def _both_plain(one: Sdp, other: Sdp) -> bool:
    return unrecordable(one) is None and unrecordable(other) is None


def remote(call: str, leg: LegSession, sdp: Sdp) -> protocol.SetRemote | None:
    """What the engine must know of this leg's peer; None if there is no audio to relay. What we told him last counts
    too: he may use our payload numbers towards us (RFC 3264 6.1).
    """
    audio, voice = sdp.audio, first_voice(sdp)
    if audio is None or audio.rejected or voice is None:
        return None
    return protocol.SetRemote(
        call=call,
        leg=leg.name,
        address=sdp.address_of(audio) or "0.0.0.0",
        port=audio.port,
        rtcp_port=audio.rtcp_port or min(audio.port + 1, 65535),
        payload_types=_numbers(sdp),
        our_payload_types=_numbers(Sdp.parse(leg.said)) if leg.said else {},
        send_payload_type=voice.payload_type,
        ptime_ms=audio.ptime or 20,
        direction=_OURS[sdp.direction_of(audio)],
        srtp=leg.security.keys(audio),
    )


def _numbers(sdp: Sdp) -> dict[str, str]:
    return {str(one.payload_type): rtpmap(one) for one in codecs(sdp)}


# What the peer may do as it says it, seen from our side.
_OURS: dict[Direction, Directionality] = {
    Direction.SENDRECV: "sendrecv",
    Direction.SENDONLY: "recvonly",
    Direction.RECVONLY: "sendonly",
    Direction.INACTIVE: "inactive",
}
